import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { superviseWorkers, type WorkersOptions } from '../../../gateway/workers/workers.ts'
import { until } from '../../support/until.ts'

const fixture = new URL('../../support/worker-fixture.ts', import.meta.url)
cluster.setupPrimary({ exec: fileURLToPath(fixture), args: [] })

/** How the next worker, and no other, is to behave. */
type Behaviour = { LISTEN_AFTER_MS?: string; NEVER_LISTENS?: string; NEVER_ENDS?: string }
const SLOW: Behaviour = { LISTEN_AFTER_MS: '600' }
const DEAF: Behaviour = { LISTEN_AFTER_MS: '60000' }
const STUBBORN: Behaviour = { NEVER_ENDS: 'yes' }
const HOPELESS: Behaviour = { LISTEN_AFTER_MS: '300', NEVER_LISTENS: 'yes' }

function supervise(t: Test, count = 2, bounds: Pick<WorkersOptions, 'openMs' | 'endMs'> = {}) {
  const forked: Worker[] = []
  const listening = new Set<Worker>()
  /** How many served when one had ended, by the order of the ends. */
  const left: number[] = []
  const behaviours: Behaviour[] = []
  const fork = () => {
    const worker = cluster.fork(behaviours.shift() ?? {})
    forked.push(worker)
    worker.once('listening', () => listening.add(worker))
    worker.once('exit', () => left.push(serving().length))
    return worker
  }
  const workers = superviseWorkers({ count, fork, logger: pino({ level: 'silent' }), restartMs: 20, ...bounds })
  t.teardown(() => workers.stop())
  const alive = () => forked.filter(worker => !worker.isDead())
  const serving = () => alive().filter(worker => listening.has(worker))
  const hasForked = (many: number) =>
    until(
      async () => forked.length,
      found => found === many,
    )
  const serves = (many: number) =>
    until(
      async () => serving().length,
      found => found === many,
    )
  return { workers, forked, behaviours, alive, serving, left, hasForked, serves }
}

async function kill(worker: Worker): Promise<void> {
  worker.process.kill('SIGKILL')
  await once(worker, 'exit')
}

/** Time for one worker more than there should be, or one less, to show. */
const settled = () => delay(500)

t.test('a roll replaces each worker once, and never are there fewer than there should be', async t => {
  const { workers, forked, alive, left } = supervise(t)
  await workers.start()
  const old = alive()
  await workers.roll()
  t.equal(forked.length, 4)
  t.same(left, [2, 2])
  t.ok(old.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('who asks for a roll while one is under way gets workers that were started after that', async t => {
  const { workers, forked, behaviours, alive, hasForked } = supervise(t)
  await workers.start()
  behaviours.push(SLOW)
  const first = workers.roll()
  await hasForked(3)
  const second = workers.roll()
  const before = [...forked]
  await Promise.all([first, second])
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('a roll asked for while one fails for want of something that was mended since is not given up', async t => {
  const { workers, forked, behaviours, alive, hasForked } = supervise(t)
  await workers.start()
  behaviours.push(HOPELESS)
  const first = workers.roll()
  await hasForked(3)
  const before = [...forked]
  await Promise.all([first, workers.roll()])
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('a roll asked for while a successor fails whose old worker died leaves no place empty', async t => {
  const { workers, forked, behaviours, hasForked, serves } = supervise(t, 1)
  await workers.start()
  behaviours.push(HOPELESS)
  const first = workers.roll()
  await hasForked(2)
  await kill(forked[0] as Worker)
  // Until nobody makes up for it any more, as there is a successor.
  await delay(100)
  await Promise.all([first, workers.roll()])
  await serves(1)
})

t.test('a worker that never listens, or never ends, is killed', async t => {
  const { workers, behaviours, alive, serving } = supervise(t, 2, { openMs: 1500, endMs: 500 })
  behaviours.push(STUBBORN)
  await workers.start()
  const old = alive()
  behaviours.push(DEAF)
  await t.rejects(workers.roll(), { message: 'A worker ended with SIGKILL before it listened' })
  t.same(alive(), old)
  await workers.roll()
  t.ok(old.every(worker => worker.isDead()))
  t.equal(serving().length, 2)
})

t.test('a roll whose worker does not come up leaves the others as they are', async t => {
  const { workers, behaviours, alive } = supervise(t)
  await workers.start()
  const old = alive()
  behaviours.push(HOPELESS)
  await t.rejects(workers.roll(), { message: 'A worker ended with exit code 1 before it listened' })
  await settled()
  t.same(alive(), old)
})

t.test('a worker that dies while its successor opens makes none too many', async t => {
  const { workers, forked, behaviours, alive, hasForked } = supervise(t)
  await workers.start()
  behaviours.push(SLOW)
  const rolled = workers.roll()
  await hasForked(3)
  await kill(forked[0] as Worker)
  await rolled
  await settled()
  t.equal(alive().length, 2)
})

t.test('a worker that dies while its successor fails is replaced all the same', async t => {
  const { workers, forked, behaviours, hasForked, serves } = supervise(t)
  await workers.start()
  behaviours.push(HOPELESS)
  const rolled = workers.roll()
  await hasForked(3)
  await kill(forked[0] as Worker)
  await t.rejects(rolled)
  await serves(2)
})

t.test('a worker that dies while another is rolled makes none too few', async t => {
  const { workers, forked, behaviours, alive, hasForked } = supervise(t)
  await workers.start()
  behaviours.push(SLOW)
  const rolled = workers.roll()
  await hasForked(3)
  await kill(forked[1] as Worker)
  await rolled
  await settled()
  t.equal(alive().length, 2)
  t.ok(forked.slice(0, 2).every(worker => worker.isDead()))
})

t.test('a roll while the workers start, or one is replaced, waits for them', async t => {
  const { workers, forked, behaviours, alive, hasForked } = supervise(t)
  behaviours.push(SLOW, SLOW)
  const started = workers.start()
  await workers.roll()
  await started
  t.ok(forked.slice(0, 2).every(worker => worker.isDead()))
  t.equal(alive().length, 2)

  behaviours.push(SLOW)
  await kill(alive()[0] as Worker)
  await hasForked(5)
  const before = [...forked]
  await workers.roll()
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('those that die are replaced, though their successors fail at first', async t => {
  const { workers, behaviours, alive, serves } = supervise(t)
  await workers.start()
  behaviours.push(HOPELESS, HOPELESS)
  await Promise.all(alive().map(kill))
  await serves(2)
  await settled()
  t.equal(alive().length, 2)
})

t.test('a worker that the system cannot make is tried again', async t => {
  const { workers, forked, alive, serves } = supervise(t)
  await workers.start()
  cluster.setupPrimary({ cwd: '/nowhere' })
  await kill(alive()[0] as Worker)
  await until(
    async () => forked.length,
    count => count > 3,
  )
  cluster.setupPrimary({ cwd: process.cwd() })
  await serves(2)
})

t.test('told to stop before all listen, it ends them and starts no more', async t => {
  const { workers, forked, behaviours, alive } = supervise(t)
  behaviours.push(SLOW)
  const started = workers.start()
  await once(forked[1] as Worker, 'listening')
  await workers.stop()
  await started
  await settled()
  t.equal(forked.length, 2)
  t.equal(alive().length, 0)
})

t.test('told to stop during a roll, it ends old and new', async t => {
  const { workers, behaviours, alive, hasForked } = supervise(t)
  await workers.start()
  behaviours.push(SLOW)
  const rolled = workers.roll()
  await hasForked(3)
  await workers.stop()
  await rolled
  t.equal(alive().length, 0)
})

t.test('a start of which one worker does not come up fails', async t => {
  const { workers, behaviours } = supervise(t)
  behaviours.push(HOPELESS)
  await t.rejects(workers.start(), { message: 'A worker ended with exit code 1 before it listened' })
})
