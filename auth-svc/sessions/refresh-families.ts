/**
 * Refresh token families in Redis: for each session, its current generation and the time of the last rotation. A
 * rotation is one Lua script that uses the clock of Redis, so that of any number of concurrent refreshes exactly one
 * rotates.
 *
 * - The current generation rotates.
 * - The previous generation, within the grace period, is a retry. It returns the current generation, until that one
 *   rotates.
 * - Any other older generation is reuse.
 * - If the family is missing, or older than the presented token, Redis has lost data. None of the family's tokens is
 *   accepted again, and the user must sign in.
 */
import type { Redis } from 'ioredis'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { activeSpanContext } from '#runtime/observability/spans.ts'
import { redisOperation } from '#runtime/process/redis.ts'
import { redisUnavailable } from '../errors.ts'

/**
 * When a reused token was rotated:
 *
 * - `recent`: by the last rotation, at most a minute ago; probably a client that lost a response.
 * - `stale`: more than a minute ago; probably a stolen token.
 * - `unknown`: before the last rotation, at an unrecorded time, or the clock of Redis was set back.
 */
export type ReuseClass = 'recent' | 'stale' | 'unknown'

/** `generation` is that of the refresh token to return. */
export type RotationOutcome =
  | { kind: 'rotated' | 'retried'; generation: number }
  | { kind: 'reused'; reuse: ReuseClass }
  /** Redis has lost the family or its last rotations. */
  | { kind: 'lost' }

/** Every method rejects with StatusError UNAVAILABLE if Redis is unavailable. */
export interface RefreshFamilies {
  /** Creates the family, with generation 1. @param ttlMs time until it expires, in milliseconds. */
  start(sessionId: string, ttlMs: number): Promise<void>
  /**
   * @param generation of the presented token, whose MAC must have been verified.
   * @param ttlMs time until the family expires unless it is rotated again, in whole milliseconds.
   * @throws StatusError UNAVAILABLE if Redis does not run the script in time. The token is then still valid.
   */
  rotate(sessionId: string, generation: number, ttlMs: number): Promise<RotationOutcome>
  /** Time of the last refresh (or the sign-in) of each session. Sessions without a family are omitted. */
  findLastUsed(sessionIds: readonly string[]): Promise<Map<string, Date>>
}

export interface RefreshFamiliesOptions {
  redis: Redis
  /** Grace period, in milliseconds. After it, a repeated refresh is reuse. */
  graceMs: number
  /** Time in which Redis must start a rotation, in milliseconds. Default 1,000. A later script changes nothing. */
  timeoutMs?: number
}

/** The Redis key of a session's family: a hash with `generation` and `rotated_at` (milliseconds since the epoch). */
export function familyKey(sessionId: string): string {
  return `gatehouse:refresh-family:${sessionId}`
}

/**
 * By which the clock of a server that takes over may be behind, in milliseconds. A clock that was set back further says
 * nothing about the age of a rotation, which then counts as past the grace period.
 */
const MAX_CLOCK_SKEW_MS = 1000

/** A client retries a request within this time. */
const RECENT_REUSE_MS = 60_000

// KEYS: family. ARGV: time to live in milliseconds.
const START = `
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'generation', 1, 'rotated_at', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
`

// KEYS: family. ARGV: presented generation; grace period, time to live and deadline in milliseconds.
// Returns outcome, detail (new generation or class of reuse), and the time of Redis in milliseconds.
const ROTATE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[4]) then return {'deadline_exceeded', '', now} end

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
if presented == current - 1 and age >= ${-MAX_CLOCK_SKEW_MS} and age <= tonumber(ARGV[2]) then return {'retried', current, now} end
-- A genuine token of a later generation proves that Redis has lost rotations, for example after a restored backup.
if presented > current then
  redis.call('DEL', KEYS[1])
  return {'lost', '', now}
end
if age > ${RECENT_REUSE_MS} then return {'reused', 'stale', now} end
if presented == current - 1 and age >= 0 then return {'reused', 'recent', now} end
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
  ): Promise<
    [outcome: 'rotated' | 'retried' | 'reused' | 'lost' | 'deadline_exceeded', detail: number | string, now: number]
  >
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
  /** Time of Redis minus `performance.now()`, in milliseconds. Updated from every rotation. */
  let clockOffset = 0

  /**
   * Runs the script once. The script carries a deadline, because a Redis that hung still executes the commands that it
   * has received: a rotation after the caller timed out would make the client's retry look like reuse.
   * @returns undefined if the script started after its deadline.
   */
  async function rotateOnce(
    sessionId: string,
    generation: number,
    ttlMs: number,
  ): Promise<RotationOutcome | undefined> {
    const deadline = clockOffset + performance.now() + timeoutMs
    const [outcome, detail, now] = await withSpan(activeSpanContext(), operations.rotate, () =>
      redis.rotateFamily(familyKey(sessionId), generation, graceMs, ttlMs, Math.floor(deadline)),
    )
    clockOffset = now - performance.now()
    if (outcome === 'deadline_exceeded') return undefined
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
      // The first attempt misses its deadline before the clock offset is known or after the clock of Redis was set, and
      // updates the offset for the second.
      const outcome =
        (await orUnavailable(rotateOnce(sessionId, generation, ttlMs))) ??
        (await orUnavailable(rotateOnce(sessionId, generation, ttlMs)))
      if (outcome === undefined) throw redisUnavailable(new Error('Redis started the rotation after its deadline'))
      return outcome
    },
    async findLastUsed(sessionIds) {
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

/** Whatever the error of Redis, the caller can only retry. */
async function orUnavailable<R>(reply: Promise<R>): Promise<R> {
  try {
    return await reply
  } catch (cause) {
    throw redisUnavailable(cause)
  }
}
