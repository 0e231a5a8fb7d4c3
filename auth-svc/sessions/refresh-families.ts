/**
 * Refresh families: of each session, the generation of refresh token that is good now and when it came to be. They live
 * in Redis, and each rotation is one script there, by Redis' own clock, so that of any number of refreshes at once
 * exactly one rotates.
 *
 * The current generation rotates. The one before it, within the grace, is a retry and gets the same successor, for as
 * long as that has not been used; anything else was used before. A family that is gone, or behind the token that is
 * presented, cannot vouch for any of its tokens again: its user signs in.
 */
import type { Redis } from 'ioredis'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { activeSpanContext } from '#runtime/observability/spans.ts'
import { redisOperation } from '#runtime/process/redis.ts'
import { redisUnavailable } from '../errors.ts'

/**
 * How a token was used again. `recent`: the latest rotation replaced it, a moment ago; more likely a client that lost an
 * answer than a thief. `stale`: it was replaced long ago. `unknown`: it was replaced before the latest rotation, and
 * nobody knows when.
 */
export type ReuseClass = 'recent' | 'stale' | 'unknown'

export type RotationOutcome =
  | { kind: 'rotated' | 'retried'; generation: number }
  | { kind: 'reused'; reuse: ReuseClass }
  /** Redis has no such family, or an older one than the token proves that there was. */
  | { kind: 'lost' }

export interface RefreshFamilies {
  /** Begins a family with generation 1. */
  start(sessionId: string, ttlMs: number): Promise<void>
  /** @param ttlMs after which the successor expires unless it is used. */
  rotate(sessionId: string, generation: number, ttlMs: number): Promise<RotationOutcome>
  /** When each session was last refreshed or begun; one whose refresh token has expired is left out. */
  lastUsed(sessionIds: readonly string[]): Promise<Map<string, Date>>
}

export interface RefreshFamiliesOptions {
  redis: Redis
  graceMs: number
  /** Of one script; a script that Redis gets to later does nothing. */
  timeoutMs?: number
}

export function familyKey(sessionId: string): string {
  return `gatehouse:refresh-family:${sessionId}`
}

/** Beyond a minute no client repeats a request whose answer was lost. */
const RECENT_MS = 60_000

const START = `
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'generation', 1, 'rotated_at', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
`

// KEYS: family. ARGV: generation presented, grace, time to live, deadline, all in milliseconds.
const ROTATE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[4]) then return {'late', '', now} end

local family = redis.call('HMGET', KEYS[1], 'generation', 'rotated_at')
if not family[1] then return {'lost', '', now} end
local current = tonumber(family[1])
local age = now - tonumber(family[2])
local presented = tonumber(ARGV[1])

if presented == current then
  redis.call('HSET', KEYS[1], 'generation', current + 1, 'rotated_at', now)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'rotated', current + 1, now}
end
if presented == current - 1 and age <= tonumber(ARGV[2]) then return {'retried', current, now} end
if presented > current then
  redis.call('DEL', KEYS[1])
  return {'lost', '', now}
end
if age > ${RECENT_MS} then return {'reused', 'stale', now} end
if presented == current - 1 then return {'reused', 'recent', now} end
return {'reused', 'unknown', now}
`

interface Scripts {
  startFamily(key: string, ttlMs: number): Promise<unknown>
  rotateFamily(
    key: string,
    generation: number,
    graceMs: number,
    ttlMs: number,
    deadline: number,
  ): Promise<[outcome: 'rotated' | 'retried' | 'reused' | 'lost' | 'late', detail: number | string, now: number]>
}

export function createRefreshFamilies(options: RefreshFamiliesOptions): RefreshFamilies {
  const { graceMs, timeoutMs = 1000 } = options
  options.redis.defineCommand('startFamily', { numberOfKeys: 1, lua: START })
  options.redis.defineCommand('rotateFamily', { numberOfKeys: 1, lua: ROTATE })
  const redis = options.redis as Redis & Scripts
  const operations = {
    start: redisOperation(redis, 'EVALSHA', 'startFamily'),
    rotate: redisOperation(redis, 'EVALSHA', 'rotateFamily'),
    lastUsed: redisOperation(redis, 'BATCH HGET'),
  }
  /** What Redis' clock shows when ours, which never jumps, shows 0. Every answer corrects it. */
  let redisEpoch = 0

  /**
   * A script may run long after its caller has given up: a Redis that hung goes on with what it has read. The rotation
   * would then be one that nobody heard of, and the next use of the token a theft; hence the deadline.
   */
  async function rotate(sessionId: string, generation: number, ttlMs: number): Promise<RotationOutcome | undefined> {
    const deadline = redisEpoch + performance.now() + timeoutMs
    const [outcome, detail, now] = await withSpan(activeSpanContext(), operations.rotate, () =>
      redis.rotateFamily(familyKey(sessionId), generation, graceMs, ttlMs, Math.floor(deadline)),
    )
    redisEpoch = now - performance.now()
    if (outcome === 'late') return undefined
    if (outcome === 'lost') return { kind: 'lost' }
    if (outcome === 'reused') return { kind: 'reused', reuse: detail as ReuseClass }
    return { kind: outcome, generation: Number(detail) }
  }

  return {
    start: async (sessionId, ttlMs) => {
      await orUnavailable(
        withSpan(activeSpanContext(), operations.start, () => redis.startFamily(familyKey(sessionId), ttlMs)),
      )
    },
    async rotate(sessionId, generation, ttlMs) {
      // Too late at first sight is a clock that is not known yet, or was set: the second try knows it.
      const outcome =
        (await orUnavailable(rotate(sessionId, generation, ttlMs))) ??
        (await orUnavailable(rotate(sessionId, generation, ttlMs)))
      if (outcome === undefined) throw redisUnavailable(new Error('Redis came to it too late'))
      return outcome
    },
    async lastUsed(sessionIds) {
      const pipeline = redis.pipeline()
      for (const id of sessionIds) pipeline.hget(familyKey(id), 'rotated_at')
      const replies =
        (await orUnavailable(withSpan(activeSpanContext(), operations.lastUsed, () => pipeline.exec()))) ?? []
      const lastUsed = new Map<string, Date>()
      for (const [index, id] of sessionIds.entries()) {
        const [error, rotatedAt] = replies[index] ?? []
        if (error) throw redisUnavailable(error)
        if (typeof rotatedAt === 'string') lastUsed.set(id, new Date(Number(rotatedAt)))
      }
      return lastUsed
    },
  }
}

/** Whatever Redis fails with, there is nothing that the caller could do about it but come again. */
async function orUnavailable<R>(reply: Promise<R>): Promise<R> {
  try {
    return await reply
  } catch (cause) {
    throw redisUnavailable(cause)
  }
}
