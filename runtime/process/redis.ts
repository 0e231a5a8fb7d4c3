import { Redis, type RedisOptions } from 'ioredis'
import type { ClientOperation } from '../observability/client-spans.ts'
import type { Logger } from '../observability/logger.ts'

/**
 * Creates a Redis client that fails fast: a command fails after 1 s, connected or not. Reconnects with exponential
 * backoff up to 2 s, with jitter. Logs the first error of an outage and the recovery.
 */
export function createRedis(url: string, logger: Logger, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, {
    commandTimeout: 1000,
    connectTimeout: 1000,
    maxRetriesPerRequest: 1,
    retryStrategy: attempt => Math.min(2000, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
    ...options,
  })
  let isUnreachable = false
  redis.on('error', error => {
    if (!isUnreachable) logger.warn({ err: error }, 'Redis is unreachable; reconnecting')
    isUnreachable = true
  })
  redis.on('ready', () => {
    if (isUnreachable) logger.info('Redis is reachable again')
    isUnreachable = false
  })
  return redis
}

/**
 * Describes a command for `withSpan`, by the semantic conventions for Redis.
 * @param script name of the script that EVALSHA runs.
 */
export function redisOperation({ options }: Redis, command: string, script?: string): ClientOperation {
  return {
    name: script === undefined ? command : `${command} ${script}`,
    attributes: {
      'db.system.name': 'redis',
      'db.operation.name': command,
      'db.namespace': String(options.db ?? 0),
      'db.stored_procedure.name': script,
      'server.address': options.host,
      'server.port': options.port,
    },
  }
}
