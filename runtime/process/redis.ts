import { Redis, type RedisOptions } from 'ioredis'
import type { ClientOperation } from '../observability/client-spans.ts'
import type { Logger } from '../observability/logger.ts'

/**
 * A connection that fails fast and comes back by itself: a command waits for at most a second, connected or not, and
 * the reconnect backs off to two seconds, with jitter so that a restarted Redis is not met by everybody at once.
 */
export function createRedis(url: string, logger: Logger, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, {
    commandTimeout: 1000,
    connectTimeout: 1000,
    maxRetriesPerRequest: 1,
    retryStrategy: attempt => Math.min(2000, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
    ...options,
  })
  let reported = false
  redis.on('error', error => {
    if (!reported) logger.warn({ err: error }, 'redis is not reachable')
    reported = true
  })
  redis.on('ready', () => {
    if (reported) logger.info('redis is reachable again')
    reported = false
  })
  return redis
}

/**
 * What `withSpan` tells of a command (semantic conventions for Redis).
 * @param script by which name EVALSHA runs it.
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
