/** The database of a service: a connection pool for Kysely, and pipelined connections for prepared statements. */
import { availableParallelism } from 'node:os'
import { Kysely, type LogEvent, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import { limitRepeatedWarnings } from '../observability/repeated-warnings.ts'
import type { PoolState } from './pool-metrics.ts'
import { createPipeline, type Prepare, prepareIn, prepareOn } from './prepared-statements.ts'
import { type OnNoReply, ReplacingPool } from './replacing-pool.ts'
import { logSlowStatements, traceStatements } from './statement-records.ts'

export interface DatabaseOptions {
  /** Connection URL, `postgres://user:password@host:port/database`. */
  url: string
  /** Schema of the service; the only one on the search path. */
  schema: string
  logger: Logger
  /** Maximum number of connections. Default: twice the CPU cores plus one; more do not raise throughput. */
  poolSize?: number | undefined
  /**
   * Maximum time to wait for a free or a new connection, in milliseconds. Default 2,000. The statement then fails with
   * UNAVAILABLE; if all connections are in use, with the reason `database_busy` (see `toStatusError`).
   */
  acquireTimeoutMs?: number
  /** Maximum time of one statement, in milliseconds. Default 2,500. The statement then fails with DEADLINE_EXCEEDED. */
  statementTimeoutMs?: number
  /** Default true. Set to false behind a pooler in transaction mode without support for prepared statements. */
  preparedStatements?: boolean
  /** Duration from which a statement is logged as slow, in milliseconds. Default 250. */
  slowStatementMs?: number
  /** Also logs the query plan of slow statements. Default false. */
  planSlowStatements?: boolean
}

export interface Database<Tables> {
  readonly db: Kysely<Tables>
  /**
   * Creates a prepared statement, for statements that run on many requests. PostgreSQL parses it once per connection,
   * and several run on one connection without waiting for each other's results (pipelining). A statement that waits for
   * a lock delays those after it on the same connection.
   */
  readonly prepare: Prepare
  /** Runs `select 1`. Rejects if the database cannot be reached. */
  ping(): Promise<void>
  poolState(): PoolState
  /** Closes all connections after the statements in flight. */
  close(): Promise<void>
}

/** Converts the settings `databaseSettings` (process/env.ts) to options of `openDatabase`. */
export function databaseOptionsOf(settings: {
  DATABASE_URL: string
  DATABASE_POOL_SIZE?: number | undefined
  DATABASE_ACQUIRE_TIMEOUT_MS: number
  DATABASE_STATEMENT_TIMEOUT_MS: number
  DATABASE_PREPARED: 'on' | 'off'
  DATABASE_SLOW_MS: number
  DATABASE_SLOW_PLANS: 'on' | 'off'
}): Omit<DatabaseOptions, 'schema' | 'logger'> {
  return {
    url: settings.DATABASE_URL,
    poolSize: settings.DATABASE_POOL_SIZE,
    acquireTimeoutMs: settings.DATABASE_ACQUIRE_TIMEOUT_MS,
    statementTimeoutMs: settings.DATABASE_STATEMENT_TIMEOUT_MS,
    preparedStatements: settings.DATABASE_PREPARED === 'on',
    slowStatementMs: settings.DATABASE_SLOW_MS,
    planSlowStatements: settings.DATABASE_SLOW_PLANS === 'on',
  }
}

// bigint columns become BigInt, without loss of digits. Timestamps become Date and lose their microseconds; select them
// as text where those matter.
const INT8 = 20
const types = new pg.TypeOverrides()
types.setTypeParser(INT8, text => BigInt(text))

/** Opens a database. Connects on first use. Half of the connections, rounded down, are used for prepared statements. */
export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const { logger, poolSize = availableParallelism() * 2 + 1, preparedStatements } = options
  const { acquireTimeoutMs = 2000, statementTimeoutMs = 2500, slowStatementMs = 250 } = options
  // Leave at least two connections for transactions, so that one can wait for another.
  const pipelineCount = preparedStatements === false || poolSize < 3 ? 0 : Math.floor(poolSize / 2)
  const connection = {
    connectionString: options.url,
    types,
    connectionTimeoutMillis: acquireTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 250,
    options: `-c search_path=${options.schema}`,
  }
  const warn = limitRepeatedWarnings(logger)
  // A restart of PostgreSQL ends all connections of the pool at once.
  const onLost = (error: Error) => warn(error.message, { err: error }, 'database connection lost')
  // The other connections are half-open as well, for example. Each would cost one more statement and its timeout.
  const onNoReply: OnNoReply = sentAt => {
    pool.endSilent(sentAt)
    for (const pipeline of pipelines) pipeline.endSilent(sentAt)
  }
  const pipelines = Array.from({ length: pipelineCount }, () => createPipeline(connection, { onLost, onNoReply }))
  const pool = new ReplacingPool({ ...connection, max: poolSize - pipelineCount }, onLost, onNoReply)

  const trace = traceStatements(options)
  const explain = options.planSlowStatements === true ? explainBy(pool) : undefined
  const logSlow = logSlowStatements({ logger, slowMs: slowStatementMs, explain })
  const record = (event: LogEvent) => {
    trace(event)
    logSlow(event)
  }
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: record })
  return {
    db,
    prepare: pipelineCount === 0 ? prepareIn(db) : prepareOn(pipelines, { db, record }),
    ping: async () => {
      await sql`select 1`.execute(db)
    },
    poolState: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
      pipelined: pipelines.reduce((sum, { inFlight }) => sum + inFlight, 0),
    }),
    close: async () => {
      await Promise.all([...pipelines.map(pipeline => pipeline.close()), db.destroy()])
    },
  }
}

/** Returns a plan that is independent of parameter values (PostgreSQL 16 or later), without running the statement. */
function explainBy(pool: pg.Pool): (statement: string) => Promise<string[]> {
  return async statement => {
    const { rows } = await pool.query<[string]>({ text: `explain (generic_plan) ${statement}`, rowMode: 'array' })
    return rows.map(([line]) => line)
  }
}
