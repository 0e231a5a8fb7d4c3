import cluster, { type Worker } from 'node:cluster'
import { EventEmitter, once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { superviseWorkers, type WorkersOptions } from '../../../gateway/workers/workers.ts'

const fixture = new URL('../../support/worker-fixture.ts', import.meta.url)
cluster.setupPrimary({ exec: fileURLToPath(fixture), args: [] })

/** Environment of one worker. A worker with an empty environment listens at once and exits after a command. */
type Behaviour = { WAITS?: string; FAILS?: string; IGNORES_COMMANDS?: string }
/** Listens when it is released. */
const WAITING: Behaviour = { WAITS: 'yes' }
/** Exits with code 1 instead of listening. */
const FAILING: Behaviour = { FAILS: 'yes' }
/** Exits with code 1 when it is released. */
const WAITING_THEN_FAILING: Behaviour = { WAITS: 'yes', FAILS: 'yes' }
const IGNORING_COMMANDS: Behaviour = { IGNORES_COMMANDS: 'yes' }

const REPLACING = 'worker exited unexpectedly; replacing it'
const NO_REPLACEMENT = 'no replacement needed; the rolling restart has forked another worker'

type Timeouts = Pick<WorkersOptions, 'startTimeoutMs' | 'stopTimeoutMs'>

function supervise(t: Test, count = 2, timeouts: Timeouts = {}) {
  const forked: Worker[] = []
  const listening = new Set<Worker>()
  /** Number of workers that served after each exit. */
  const servingAfterExit: number[] = []
  /** Behaviours of the next workers, in the order of their forks. */
  const behaviours: Behaviour[] = []
  const messages: string[] = []
  const changes = new EventEmitter()
  const changed = () => changes.emit('change')

  function fork(): Worker {
    const worker = cluster.fork(behaviours.shift() ?? {})
    forked.push(worker)
    worker.once('listening', () => {
      listening.add(worker)
      changed()
    })
    worker.once('exit', () => {
      servingAfterExit.push(serving().length)
      changed()
    })
    changed()
    return worker
  }
  function write(line: string): void {
    messages.push(JSON.parse(line).msg)
    changed()
  }

  const logger = pino({ level: 'debug' }, { write })
  const workers = superviseWorkers({ count, fork, logger, restartDelayMs: 20, ...timeouts })
  t.teardown(() => workers.stop())
  const alive = () => forked.filter(worker => !worker.isDead())
  const serving = () => alive().filter(worker => listening.has(worker))
  async function waitFor(holds: () => boolean): Promise<void> {
    while (!holds()) await once(changes, 'change')
  }
  return {
    workers,
    forked,
    behaviours,
    messages,
    alive,
    serving,
    servingAfterExit,
    waitFor,
    forkedCount: (expected: number) => waitFor(() => forked.length === expected),
    servingCount: (expected: number) => waitFor(() => serving().length === expected),
    logged: (message: string) => waitFor(() => messages.includes(message)),
  }
}

/** Lets a waiting worker continue. */
function release(worker: Worker | undefined): void {
  worker?.send('continue')
}

async function kill(worker: Worker | undefined): Promise<void> {
  worker?.process.kill('SIGKILL')
  if (worker !== undefined) await once(worker, 'exit')
}

t.test('a rolling restart replaces each worker once, and the number of serving workers never drops', async t => {
  const { workers, forked, alive, servingAfterExit } = supervise(t)
  await workers.start()
  const old = alive()
  await workers.roll()
  t.equal(forked.length, 4)
  t.same(servingAfterExit, [2, 2])
  t.ok(old.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('a rolling restart requested during another one replaces all workers forked before the request', async t => {
  const { workers, forked, behaviours, alive, forkedCount } = supervise(t)
  await workers.start()
  behaviours.push(WAITING)
  const first = workers.roll()
  await forkedCount(3)
  const second = workers.roll()
  const before = [...forked]
  release(forked[2])
  await Promise.all([first, second])
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('a rolling restart continues after a failed replacement if another one was requested meanwhile', async t => {
  const { workers, forked, behaviours, alive, forkedCount } = supervise(t)
  await workers.start()
  behaviours.push(WAITING_THEN_FAILING)
  const first = workers.roll()
  await forkedCount(3)
  const before = [...forked]
  const second = workers.roll()
  release(forked[2])
  await Promise.all([first, second])
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('a worker that exits before its replacement fails is replaced by the next rolling restart', async t => {
  const { workers, forked, behaviours, forkedCount, servingCount, logged } = supervise(t, 1)
  await workers.start()
  behaviours.push(WAITING_THEN_FAILING)
  const first = workers.roll()
  await forkedCount(2)
  await kill(forked[0])
  await logged(NO_REPLACEMENT)
  const second = workers.roll()
  release(forked[1])
  await Promise.all([first, second])
  await servingCount(1)
  t.ok(forked.slice(0, 2).every(worker => worker.isDead()))
})

t.test('a worker that does not listen or does not exit in time is killed', async t => {
  const { workers, behaviours, alive, serving } = supervise(t, 2, { startTimeoutMs: 5000, stopTimeoutMs: 500 })
  behaviours.push(IGNORING_COMMANDS)
  await workers.start()
  const old = alive()
  behaviours.push(WAITING)
  await t.rejects(workers.roll(), { message: 'Worker exited before it listened: SIGKILL' })
  t.same(alive(), old)
  await workers.roll()
  t.ok(old.every(worker => worker.isDead()))
  t.equal(serving().length, 2)
})

t.test('a rolling restart whose replacement fails to start keeps the other workers', async t => {
  const { workers, forked, behaviours, messages, alive } = supervise(t)
  await workers.start()
  const old = alive()
  behaviours.push(FAILING)
  await t.rejects(workers.roll(), { message: 'Worker exited before it listened: exit code 1' })
  t.same(alive(), old)
  // A worker forked for another reason would be counted: it would have been forked before this rolling restart ends.
  await workers.roll()
  t.equal(forked.length, 5)
  t.equal(alive().length, 2)
  t.notOk(messages.includes(REPLACING))
})

t.test('a worker that exits while its replacement starts is not replaced twice', async t => {
  const { workers, forked, behaviours, alive, forkedCount, logged } = supervise(t)
  await workers.start()
  behaviours.push(WAITING)
  const rolled = workers.roll()
  await forkedCount(3)
  await kill(forked[0])
  await logged(NO_REPLACEMENT)
  release(forked[2])
  await rolled
  t.equal(forked.length, 4)
  t.equal(alive().length, 2)
})

t.test('a worker that exits while its replacement fails to start is replaced', async t => {
  const { workers, forked, behaviours, forkedCount, servingCount } = supervise(t)
  await workers.start()
  behaviours.push(WAITING_THEN_FAILING)
  const rolled = workers.roll()
  await forkedCount(3)
  await kill(forked[0])
  release(forked[2])
  await t.rejects(rolled)
  await servingCount(2)
})

t.test('a worker that exits while another one is replaced does not reduce the number of workers', async t => {
  const { workers, forked, behaviours, alive, forkedCount, logged } = supervise(t)
  await workers.start()
  behaviours.push(WAITING)
  const rolled = workers.roll()
  await forkedCount(3)
  await kill(forked[1])
  await logged(NO_REPLACEMENT)
  release(forked[2])
  await rolled
  t.equal(alive().length, 2)
  t.ok(forked.slice(0, 2).every(worker => worker.isDead()))
})

t.test('a rolling restart waits for workers that are starting or being replaced', async t => {
  const { workers, forked, behaviours, alive, forkedCount } = supervise(t)
  behaviours.push(WAITING, WAITING)
  const started = workers.start()
  const rolled = workers.roll()
  t.equal(forked.length, 2)
  forked.forEach(release)
  await Promise.all([started, rolled])
  t.ok(forked.slice(0, 2).every(worker => worker.isDead()))
  t.equal(alive().length, 2)

  behaviours.push(WAITING)
  await kill(alive()[0])
  await forkedCount(5)
  const before = [...forked]
  const rolledAgain = workers.roll()
  release(forked[4])
  await rolledAgain
  t.ok(before.every(worker => worker.isDead()))
  t.equal(alive().length, 2)
})

t.test('workers that exit are replaced, also if their first replacements fail to start', async t => {
  const { workers, forked, behaviours, alive, servingCount } = supervise(t)
  await workers.start()
  behaviours.push(FAILING, FAILING)
  await Promise.all(alive().map(kill))
  await servingCount(2)
  t.equal(forked.length, 6)
  t.equal(alive().length, 2)
})

t.test('a fork that fails in the operating system is retried', async t => {
  const { workers, forked, alive, waitFor, servingCount } = supervise(t)
  await workers.start()
  cluster.setupPrimary({ cwd: '/nowhere' })
  await kill(alive()[0])
  await waitFor(() => forked.length > 3)
  cluster.setupPrimary({ cwd: process.cwd() })
  await servingCount(2)
})

t.test('a stop during the start ends all workers and forks no others', async t => {
  const { workers, forked, behaviours, messages, alive } = supervise(t)
  behaviours.push(WAITING)
  const started = workers.start()
  await once(forked[1] as Worker, 'listening')
  await workers.stop()
  await started
  t.notOk(messages.includes(REPLACING))
  t.equal(forked.length, 2)
  t.equal(alive().length, 0)
})

t.test('a stop during a rolling restart ends the old and the new workers', async t => {
  const { workers, behaviours, alive, forkedCount } = supervise(t)
  await workers.start()
  behaviours.push(WAITING)
  const rolled = workers.roll()
  await forkedCount(3)
  await workers.stop()
  await rolled
  t.equal(alive().length, 0)
})

t.test('the start fails if a worker exits before it listens', async t => {
  const { workers, behaviours } = supervise(t)
  behaviours.push(FAILING)
  await t.rejects(workers.start(), { message: 'Worker exited before it listened: exit code 1' })
})
