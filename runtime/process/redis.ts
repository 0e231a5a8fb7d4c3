import { Redis, type RedisOptions } from 'ioredis'
import type { ClientOperation } from '../observability/client-spans.ts'
import type { Logger } from '../observability/logger.ts'

/** Time in milliseconds for a reply, for connecting, and for the handshake. Then the connection is replaced. */
const TIMEOUT_MS = 1000
/** Maximum time in milliseconds between two attempts to connect. With TIMEOUT_MS it bounds the recovery to 2 s. */
const MAX_RECONNECT_DELAY_MS = 400
/** Minimum time in milliseconds between two connections that are replaced because of their error replies. */
const MIN_REPLACE_INTERVAL_MS = 500
/** Minimum time in milliseconds between two log lines about such replies. */
const LOG_INTERVAL_MS = 10_000

/**
 * Error replies after which another connection may reach a server that works: a replica, a server that loads its data,
 * has lost its cluster, its primary or its replicas, or does not know this connection. Redis 6 and earlier prefix the
 * code if a script failed.
 */
const WRONG_SERVER = /^(?:ERR .*: -)?(?:READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|UNBLOCKED|NOAUTH)(?: |$)/

type SentCommand = Parameters<Redis['sendCommand']>[0]

/**
 * ioredis rejects a command that times out and keeps the connection. `socketTimeout` ends a connection without any
 * reply; this class also ends one on which replies arrive too late, so that a half-open connection is never kept.
 */
class ReplacingRedis extends Redis {
  #connectedAt = Number.POSITIVE_INFINITY
  readonly #onRejection = (error: unknown) => {
    if (!(error instanceof Error) || error.message !== 'Command timed out' || this.status !== 'ready') return
    // A command that waited for the connection, or was sent on an earlier one, says nothing about this one.
    if (performance.now() - this.#connectedAt >= TIMEOUT_MS) this.stream.destroy(error)
  }

  constructor(url: string, options: Omit<RedisOptions, 'replyMapping'>) {
    super(url, options)
    this.on('connect', () => {
      this.#connectedAt = performance.now()
    })
  }

  override sendCommand(command: SentCommand, stream?: Parameters<Redis['sendCommand']>[1]): unknown {
    const reply = super.sendCommand(command, stream)
    command.promise.catch(this.#onRejection)
    return reply
  }
}

/**
 * Creates a Redis client that fails fast: a command fails after 1 s, connected or not. A command that times out ends its
 * connection, as does an error reply that proves that the server is the wrong one. The client works within 2 s of the
 * time when Redis can be reached. Logs the first error of an outage and the recovery.
 */
export function createRedis(url: string, logger: Logger, options: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
  let replacedAt = Number.NEGATIVE_INFINITY
  let loggedAt = Number.NEGATIVE_INFINITY
  const redis = new ReplacingRedis(url, {
    commandTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    connectTimeout: TIMEOUT_MS,
    // A half-open connection does not acknowledge its end.
    disconnectTimeout: 100,
    maxLoadingRetryTime: 200,
    maxRetriesPerRequest: 1,
    retryStrategy: attempt =>
      Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
    reconnectOnError({ message }) {
      if (!WRONG_SERVER.test(message) || performance.now() - replacedAt < MIN_REPLACE_INTERVAL_MS) return false
      replacedAt = performance.now()
      if (replacedAt - loggedAt > LOG_INTERVAL_MS) {
        loggedAt = replacedAt
        logger.warn({ reply: message }, 'Redis cannot serve this connection; reconnecting')
      }
      return true
    },
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
