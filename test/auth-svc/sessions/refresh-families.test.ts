import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { createRefreshFamilies, familyKey } from '../../../auth-svc/sessions/refresh-families.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'

const GRACE_MS = 10_000
const TTL_MS = 7 * 24 * 3600 * 1000

const logger = pino({ level: 'silent' })
const redis = createRedis((await openTestRedis(t)).url, logger)
t.teardown(() => redis.disconnect())
const families = createRefreshFamilies({ redis, graceMs: GRACE_MS })

/** Moves the last rotation of a family into the past, as if `ms` milliseconds had passed. */
async function advanceTime(sessionId: string, ms: number): Promise<void> {
  await redis.hincrby(familyKey(sessionId), 'rotated_at', -ms)
}

async function startFamily(): Promise<string> {
  const sessionId = randomUUID()
  await families.start(sessionId, TTL_MS)
  return sessionId
}

// The model: the expected state of a family.
interface Model {
  /** Undefined after the family is lost. */
  generation: number | undefined
  /** Milliseconds since the last rotation. */
  age: number
}
interface Real {
  sessionId: string
}

function expectedOutcome(model: Model, presented: number): object {
  const { generation, age } = model
  if (generation === undefined) return { kind: 'lost' }
  if (presented === generation) return { kind: 'rotated', generation: generation + 1 }
  if (presented === generation - 1 && age <= GRACE_MS) return { kind: 'retried', generation }
  if (presented > generation) return { kind: 'lost' }
  if (age > 60_000) return { kind: 'reused', reuse: 'stale' }
  return { kind: 'reused', reuse: presented === generation - 1 ? 'recent' : 'unknown' }
}

/**
 * Refreshes with the generation that is `offset` from the current one: 0 the current, negative an older, positive a
 * future one.
 */
class Refresh implements fc.AsyncCommand<Model, Real> {
  readonly offset: number
  constructor(offset: number) {
    this.offset = offset
  }
  check = (model: Readonly<Model>) => (model.generation ?? 1) + this.offset >= 1
  async run(model: Model, { sessionId }: Real): Promise<void> {
    const presented = (model.generation ?? 1) + this.offset
    const outcome = await families.rotate(sessionId, presented, TTL_MS)
    const { generation, age } = model
    if (JSON.stringify(outcome) !== JSON.stringify(expectedOutcome(model, presented))) {
      throw new Error(`${presented} at generation ${generation}, age ${age}: ${JSON.stringify(outcome)}`)
    }
    if (generation === undefined) return
    if (presented > generation) model.generation = undefined
    if (presented === generation) Object.assign(model, { generation: generation + 1, age: 0 })
  }
  toString = () => `refresh(${this.offset})`
}

/** Concurrent refreshes with the current token: one rotates, the others are retries of it. */
class ConcurrentRefreshes implements fc.AsyncCommand<Model, Real> {
  readonly count: number
  constructor(count: number) {
    this.count = count
  }
  check = (model: Readonly<Model>) => model.generation !== undefined
  async run(model: Model, { sessionId }: Real): Promise<void> {
    const generation = model.generation as number
    const outcomes = await Promise.all(
      Array.from({ length: this.count }, () => families.rotate(sessionId, generation, TTL_MS)),
    )
    const kinds = outcomes.map(({ kind }) => kind)
    if (kinds.filter(kind => kind === 'rotated').length !== 1) throw new Error(`Expected one rotation: ${kinds}`)
    if (!outcomes.every(outcome => 'generation' in outcome && outcome.generation === generation + 1)) {
      throw new Error(`Expected one successor: ${JSON.stringify(outcomes)}`)
    }
    Object.assign(model, { generation: generation + 1, age: 0 })
  }
  toString = () => `concurrentRefreshes(${this.count})`
}

class AdvanceTime implements fc.AsyncCommand<Model, Real> {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
  check = (model: Readonly<Model>) => model.generation !== undefined
  async run(model: Model, { sessionId }: Real): Promise<void> {
    await advanceTime(sessionId, this.ms)
    model.age += this.ms
  }
  toString = () => `advanceTime(${this.ms} ms)`
}

t.test(
  'any sequence of refreshes with older, current and future generations gives the outcomes of the model',
  async t => {
    // No sum of these steps is within 3 s below a bound, because the run itself takes up to 3 s.
    const steps = fc.constantFrom(7_000, 14_000, 35_000, 70_000)
    const commands = fc.commands(
      [
        fc.constantFrom(0, 0, -1, -1, -2, -3, 1).map(offset => new Refresh(offset)),
        fc.integer({ min: 2, max: 8 }).map(count => new ConcurrentRefreshes(count)),
        steps.map(ms => new AdvanceTime(ms)),
      ],
      { maxCommands: 30 },
    )
    await fc.assert(
      fc.asyncProperty(commands, async cmds => {
        const sessionId = await startFamily()
        await fc.asyncModelRun(() => ({ model: { generation: 1, age: 0 }, real: { sessionId } }), cmds)
      }),
      { numRuns: 300 },
    )
    t.pass()
  },
)

t.test('fifty concurrent rotations of one generation give one successor', async t => {
  const sessionId = await startFamily()
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => families.rotate(sessionId, 1, TTL_MS)))
  t.equal(outcomes.filter(({ kind }) => kind === 'rotated').length, 1)
  t.equal(outcomes.filter(({ kind }) => kind === 'retried').length, 49)
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'rotated', generation: 3 })
})

t.test('a repeated refresh is a retry until the successor is used, and reuse after that', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await families.rotate(sessionId, 2, TTL_MS)
  t.same(await families.rotate(sessionId, 1, TTL_MS), { kind: 'reused', reuse: 'unknown' })
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'retried', generation: 3 })
})

t.test('a refresh repeated after the grace period is reuse', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await advanceTime(sessionId, GRACE_MS - 1000)
  t.match(await families.rotate(sessionId, 1, TTL_MS), { kind: 'retried' })
  await advanceTime(sessionId, 1001)
  t.same(await families.rotate(sessionId, 1, TTL_MS), { kind: 'reused', reuse: 'recent' })
})

t.test('each rotation extends the expiry of the family', async t => {
  const sessionId = randomUUID()
  await families.start(sessionId, 50_000)
  const ttl = () => redis.pttl(familyKey(sessionId))
  t.ok((await ttl()) > 45_000 && (await ttl()) <= 50_000)
  await families.rotate(sessionId, 1, 90_000)
  t.ok((await ttl()) > 85_000)
  await families.rotate(sessionId, 1, 200_000)
  t.ok((await ttl()) <= 90_000, 'a retry does not extend it')
})

t.test('a family that was lost in Redis is not created again by a refresh', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await redis.flushdb()
  for (const generation of [1, 2, 3]) t.same(await families.rotate(sessionId, generation, TTL_MS), { kind: 'lost' })
  t.equal(await redis.exists(familyKey(sessionId)), 0)
})

t.test('a family restored to an earlier generation accepts none of its tokens', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  const backup = await redis.hgetall(familyKey(sessionId))
  await families.rotate(sessionId, 2, TTL_MS)
  await redis.hset(familyKey(sessionId), backup)
  t.same(await families.rotate(sessionId, 3, TTL_MS), { kind: 'lost' })
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'lost' }, 'a used token is not accepted again')
})

t.test('the time of last use is reported for each session with a family', async t => {
  const [one, other, deleted] = [await startFamily(), await startFamily(), await startFamily()]
  await advanceTime(one, 50_000)
  await advanceTime(other, 50_000)
  await families.rotate(other, 1, TTL_MS)
  await redis.del(familyKey(deleted))
  const lastUsed = await families.findLastUsed([one, other, deleted])
  t.ok((lastUsed.get(one)?.getTime() ?? 0) < Date.now() - 40_000)
  t.ok((lastUsed.get(other)?.getTime() ?? 0) > Date.now() - 40_000)
  t.notOk(lastUsed.has(deleted))
  t.same(await families.findLastUsed([]), new Map())
})

t.test('a rotation works after Redis has lost the cached scripts', async t => {
  const sessionId = await startFamily()
  await redis.script('FLUSH')
  t.match(await families.rotate(sessionId, 1, TTL_MS), { kind: 'rotated' })
})

t.test('unavailable Redis', async t => {
  const server = await startTestRedis(t)
  const connection = createRedis(server.url, logger)
  t.teardown(() => connection.disconnect())
  const families = createRefreshFamilies({ redis: connection, graceMs: 0 })

  t.test('a rotation that timed out while Redis hung does not take effect when Redis continues', async t => {
    const [warm, sessionId] = [randomUUID(), randomUUID()]
    await families.start(warm, TTL_MS)
    await families.start(sessionId, TTL_MS)
    t.match(await families.rotate(warm, 1, TTL_MS), { kind: 'rotated' })
    server.signal('SIGSTOP')
    await t.rejects(families.rotate(sessionId, 1, TTL_MS), { code: Code.UNAVAILABLE })
    server.signal('SIGCONT')
    // The grace period is 0: if the first attempt had rotated, this one would be reuse.
    t.match(await families.rotate(sessionId, 1, TTL_MS), { kind: 'rotated', generation: 2 })
  })

  t.test('after a crash of Redis, used refresh tokens stay used and unused ones stay valid', async t => {
    const [used, unused] = [randomUUID(), randomUUID()]
    await families.start(used, TTL_MS)
    await families.start(unused, TTL_MS)
    await families.rotate(used, 1, TTL_MS)
    await server.kill()
    await t.rejects(families.rotate(unused, 1, TTL_MS), { code: Code.UNAVAILABLE })
    await t.rejects(families.start(randomUUID(), TTL_MS), { code: Code.UNAVAILABLE })
    await t.rejects(families.findLastUsed([used]), { code: Code.UNAVAILABLE })
    await server.restart()
    if (connection.status !== 'ready') await new Promise(resolve => connection.once('ready', resolve))
    t.match(await families.rotate(unused, 1, TTL_MS), { kind: 'rotated', generation: 2 })
    t.match(await families.rotate(used, 1, TTL_MS), { kind: 'reused' })
    t.match(await families.rotate(used, 2, TTL_MS), { kind: 'rotated', generation: 3 })
  })
})

t.test('a clock of Redis that was set back does not make an old token a retry', async t => {
  for (const secondsBack of [10, 60, 3600]) {
    const sessionId = await startFamily()
    await families.rotate(sessionId, 1, TTL_MS)
    await advanceTime(sessionId, -secondsBack * 1000)
    const reused = { kind: 'reused', reuse: 'unknown' }
    t.strictSame(await families.rotate(sessionId, 1, TTL_MS), reused, `${secondsBack} s`)
    t.match(
      await families.rotate(sessionId, 2, TTL_MS),
      { kind: 'rotated', generation: 3 },
      'the current token rotates',
    )
    t.match(
      await families.rotate(sessionId, 2, TTL_MS),
      { kind: 'retried' },
      'and its retry is measured by the new time',
    )
  }
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await advanceTime(sessionId, -500)
  t.match(
    await families.rotate(sessionId, 1, TTL_MS),
    { kind: 'retried' },
    'clocks of two servers may differ by a second',
  )
})
