import type { Redis } from 'ioredis'
import type { Logger } from '#runtime/observability/logger.ts'

/**
 * Rejects configurations of Redis in which sessions end at random (any `maxmemory-policy` but `noeviction`) or a
 * rotated refresh token becomes valid again (RDB snapshots without an append-only file). A restart without any
 * persistence ends every session, which is safe and only logged.
 * @throws Error that names the required setting, or the error of Redis if it is unavailable.
 */
export async function assertDurable(redis: Redis, logger: Logger): Promise<void> {
  const info = parseInfo(`${await redis.info('memory')}\n${await redis.info('persistence')}`)
  const policy = info.get('maxmemory_policy')
  if (policy !== 'noeviction') {
    throw new Error(`Redis has maxmemory-policy ${policy}; refresh token families require noeviction`)
  }
  if (info.get('aof_enabled') === '1') return
  if ((await readSnapshotSchedule(redis)) !== '') {
    throw new Error(
      'Redis has RDB snapshots but no append-only file; set appendonly yes (or save "" for no persistence at all)',
    )
  }
  logger.warn('Redis has no append-only file; a restart of Redis ends every session')
}

/** The setting `save`, empty without snapshots. Hosted Redis services forbid CONFIG and count as having none. */
async function readSnapshotSchedule(redis: Redis): Promise<string> {
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
