import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import t from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { createRefreshFamilies, familyKey, type RefreshFamilies } from '../../../auth-svc/sessions/refresh-families.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'
import { logger } from '../silent-logger.ts'

const GRACE_MS = 10_000
const TTL_MS = 7 * 24 * 3600 * 1000

const redis = createRedis((await openTestRedis(t)).url, logger)
t.teardown(() => redis.disconnect())
const families = createRefreshFamilies({ redis, graceMs: GRACE_MS })

/** Time passes for a family when its rotation moves into the past: all that it knows of time is how long ago that was. */
async function pass(sessionId: string, ms: number): Promise<void> {
  await redis.hincrby(familyKey(sessionId), 'rotated_at', -ms)
}

async function startFamily(): Promise<string> {
  const sessionId = randomUUID()
  await families.start(sessionId, TTL_MS)
  return sessionId
}

// The reference: what the rules say of a family, without Redis.
interface Model {
  /** Undefined once it is lost. */
  generation: number | undefined
  age: number
}
interface Real {
  sessionId: string
}

function expected(model: Model, presented: number): object {
  const { generation, age } = model
  if (generation === undefined) return { kind: 'lost' }
  if (presented === generation) return { kind: 'rotated', generation: generation + 1 }
  if (presented === generation - 1 && age <= GRACE_MS) return { kind: 'retried', generation }
  if (presented > generation) return { kind: 'lost' }
  if (age > 60_000) return { kind: 'reused', reuse: 'stale' }
  return { kind: 'reused', reuse: presented === generation - 1 ? 'recent' : 'unknown' }
}

/** @param ahead of the generation that is good now: 0 it, below an older one, above one that there never was. */
class Refresh implements fc.AsyncCommand<Model, Real> {
  readonly ahead: number
  constructor(ahead: number) {
    this.ahead = ahead
  }
  check = (model: Readonly<Model>) => (model.generation ?? 1) + this.ahead >= 1
  async run(model: Model, { sessionId }: Real): Promise<void> {
    const presented = (model.generation ?? 1) + this.ahead
    const outcome = await families.rotate(sessionId, presented, TTL_MS)
    const { generation, age } = model
    if (JSON.stringify(outcome) !== JSON.stringify(expected(model, presented))) {
      throw new Error(`${presented} at generation ${generation}, age ${age}: ${JSON.stringify(outcome)}`)
    }
    if (generation === undefined) return
    if (presented > generation) model.generation = undefined
    if (presented === generation) Object.assign(model, { generation: generation + 1, age: 0 })
  }
  toString = () => `refresh(${this.ahead})`
}

/** Many at once with the good token: whatever the order, one rotates and the others get what it got. */
class RefreshAtOnce implements fc.AsyncCommand<Model, Real> {
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
    if (kinds.filter(kind => kind === 'rotated').length !== 1) throw new Error(`Not one rotated: ${kinds}`)
    if (!outcomes.every(outcome => 'generation' in outcome && outcome.generation === generation + 1)) {
      throw new Error(`Not one successor: ${JSON.stringify(outcomes)}`)
    }
    Object.assign(model, { generation: generation + 1, age: 0 })
  }
  toString = () => `refreshAtOnce(${this.count})`
}

class Pass implements fc.AsyncCommand<Model, Real> {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
  check = (model: Readonly<Model>) => model.generation !== undefined
  async run(model: Model, { sessionId }: Real): Promise<void> {
    await pass(sessionId, this.ms)
    model.age += this.ms
  }
  toString = () => `pass(${this.ms} ms)`
}

t.test('any interleaving of tokens, old, good and invented, with time between, follows the rules', async t => {
  // No sum of them is within three seconds below a bound: the run itself takes less.
  const steps = fc.constantFrom(7_000, 14_000, 35_000, 70_000)
  const commands = fc.commands(
    [
      fc.constantFrom(0, 0, -1, -1, -2, -3, 1).map(ahead => new Refresh(ahead)),
      fc.integer({ min: 2, max: 8 }).map(count => new RefreshAtOnce(count)),
      steps.map(ms => new Pass(ms)),
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
})

t.test('fifty refreshes of one token at once give one successor', async t => {
  const sessionId = await startFamily()
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => families.rotate(sessionId, 1, TTL_MS)))
  t.equal(outcomes.filter(({ kind }) => kind === 'rotated').length, 1)
  t.equal(outcomes.filter(({ kind }) => kind === 'retried').length, 49)
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'rotated', generation: 3 })
})

t.test('a retry is one until the successor is used, however soon', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await families.rotate(sessionId, 2, TTL_MS)
  t.same(await families.rotate(sessionId, 1, TTL_MS), { kind: 'reused', reuse: 'unknown' })
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'retried', generation: 3 })
})

t.test('the grace ends on time', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await pass(sessionId, GRACE_MS - 1000)
  t.match(await families.rotate(sessionId, 1, TTL_MS), { kind: 'retried' })
  await pass(sessionId, 1001)
  t.same(await families.rotate(sessionId, 1, TTL_MS), { kind: 'reused', reuse: 'recent' })
})

t.test('a family lives as long as its refresh token, and each rotation prolongs it', async t => {
  const sessionId = randomUUID()
  await families.start(sessionId, 50_000)
  const ttl = () => redis.pttl(familyKey(sessionId))
  t.ok((await ttl()) > 45_000 && (await ttl()) <= 50_000)
  await families.rotate(sessionId, 1, 90_000)
  t.ok((await ttl()) > 85_000)
  await families.rotate(sessionId, 1, 200_000)
  t.ok((await ttl()) <= 90_000, 'a retry does not')
})

t.test('a family that is gone stays gone', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  await redis.flushdb()
  for (const generation of [1, 2, 3]) t.same(await families.rotate(sessionId, generation, TTL_MS), { kind: 'lost' })
  t.equal(await redis.exists(familyKey(sessionId)), 0)
})

t.test('a family that came back older than a token of it opens to none', async t => {
  const sessionId = await startFamily()
  await families.rotate(sessionId, 1, TTL_MS)
  const backup = await redis.hgetall(familyKey(sessionId))
  await families.rotate(sessionId, 2, TTL_MS)
  await redis.hset(familyKey(sessionId), backup)
  t.same(await families.rotate(sessionId, 3, TTL_MS), { kind: 'lost' })
  t.same(await families.rotate(sessionId, 2, TTL_MS), { kind: 'lost' }, 'used, and not good again')
})

t.test('when each session was last used, and only of those whose token is still good', async t => {
  const [one, other, gone] = [await startFamily(), await startFamily(), await startFamily()]
  await pass(one, 50_000)
  await pass(other, 50_000)
  await families.rotate(other, 1, TTL_MS)
  await redis.del(familyKey(gone))
  const lastUsed = await families.lastUsed([one, other, gone])
  t.ok((lastUsed.get(one)?.getTime() ?? 0) < Date.now() - 40_000)
  t.ok((lastUsed.get(other)?.getTime() ?? 0) > Date.now() - 40_000)
  t.notOk(lastUsed.has(gone))
  t.same(await families.lastUsed([]), new Map())
})

t.test('a script that Redis no longer has is sent again', async t => {
  const sessionId = await startFamily()
  await redis.script('FLUSH')
  t.match(await families.rotate(sessionId, 1, TTL_MS), { kind: 'rotated' })
})

t.test('with a Redis of its own', async t => {
  const server = await startTestRedis(t)
  const open = (options = {}): [Redis, RefreshFamilies] => {
    const connection = createRedis(server.url, logger, options)
    t.teardown(() => connection.disconnect())
    return [connection, createRefreshFamilies({ redis: connection, graceMs: 0 })]
  }
  const [connection, own] = open()

  t.test('one that hangs consumes nothing, not even when it goes on', async t => {
    const [warm, sessionId] = [randomUUID(), randomUUID()]
    await own.start(warm, TTL_MS)
    await own.start(sessionId, TTL_MS)
    t.match(await own.rotate(warm, 1, TTL_MS), { kind: 'rotated' })
    server.signal('SIGSTOP')
    await t.rejects(own.rotate(sessionId, 1, TTL_MS), { code: Code.UNAVAILABLE })
    server.signal('SIGCONT')
    // With no grace at all, a rotation that nobody heard of would be a reuse now.
    t.match(await own.rotate(sessionId, 1, TTL_MS), { kind: 'rotated', generation: 2 })
  })

  t.test('one that is killed keeps what was used and what was not', async t => {
    const [used, unused] = [randomUUID(), randomUUID()]
    await own.start(used, TTL_MS)
    await own.start(unused, TTL_MS)
    await own.rotate(used, 1, TTL_MS)
    await server.kill()
    await t.rejects(own.rotate(unused, 1, TTL_MS), { code: Code.UNAVAILABLE })
    await t.rejects(own.start(randomUUID(), TTL_MS), { code: Code.UNAVAILABLE })
    await t.rejects(own.lastUsed([used]), { code: Code.UNAVAILABLE })
    await server.restart()
    if (connection.status !== 'ready') await new Promise(resolve => connection.once('ready', resolve))
    t.match(await own.rotate(unused, 1, TTL_MS), { kind: 'rotated', generation: 2 })
    t.match(await own.rotate(used, 1, TTL_MS), { kind: 'reused' })
    t.match(await own.rotate(used, 2, TTL_MS), { kind: 'rotated', generation: 3 })
  })
})
