import type { Redis } from 'ioredis'
import type { Logger } from '#runtime/observability/logger.ts'

/**
 * Refuses a Redis that would bring used refresh tokens back to life or end sessions at its own discretion:
 *
 * - one that evicts keys, and refresh families with them;
 * - one that keeps snapshots without an append-only file, since a restart then brings back families as they were.
 *
 * One that keeps nothing at all is safe, but whoever is signed in must sign in again after its restart: a warning.
 * @throws Error that says which configuration is wanted.
 */
export async function assertDurable(redis: Redis, logger: Logger): Promise<void> {
  const info = parseInfo(`${await redis.info('memory')}\n${await redis.info('persistence')}`)
  const policy = info.get('maxmemory_policy')
  if (policy !== 'noeviction') {
    throw new Error(`Redis has maxmemory-policy ${policy}; refresh families need noeviction`)
  }
  if (info.get('aof_enabled') === '1') return
  if ((await snapshotSchedule(redis)) !== '') {
    throw new Error('Redis keeps snapshots but no append-only file; set appendonly yes (or save "" to keep nothing)')
  }
  logger.warn('redis has no append-only file: its restart signs everybody out')
}

/** Empty where no snapshots are made. Where a hosted Redis does not tell, its keepers are taken to know. */
async function snapshotSchedule(redis: Redis): Promise<string> {
  try {
    const reply = (await redis.config('GET', 'save')) as string[]
    return reply[1] ?? ''
  } catch (error) {
    if (error instanceof Error && /NOPERM|unknown command/i.test(error.message)) return ''
    throw error
  }
}

function parseInfo(text: string): Map<string, string> {
  const pairs = text.split(/\r?\n/).map(line => line.split(':', 2))
  return new Map(pairs.map(([name = '', value = '']) => [name, value]))
}
