/** A service's PostgreSQL: a pool for transactions and what Kysely writes, connections beside it for prepared statements. */
import { availableParallelism } from 'node:os'
import { Kysely, type LogEvent, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import type { PoolState } from './pool-metrics.ts'
import { createPipeline, type Prepare, prepareIn, prepareOn } from './prepared-statements.ts'
import { logSlowStatements, traceStatements } from './statement-records.ts'

export interface DatabaseOptions {
  url: string
  /** The service's own schema: the only one on its search path. */
  schema: string
  logger: Logger
  /** Connections at most; cores x 2 + 1 unless given, beyond which PostgreSQL gains nothing. */
  poolSize?: number | undefined
  /** Milliseconds that work waits for a connection: for a free one, or for a new one. */
  acquireTimeoutMs?: number
  /** Milliseconds that one statement may take. */
  statementTimeoutMs?: number
  /** False behind a pooler that gives each transaction another connection. */
  preparedStatements?: boolean
  /** Milliseconds from which on a statement is logged as slow. */
  slowStatementMs?: number
  /** Whether to log the plan of a slow statement too. */
  planSlowStatements?: boolean
}

export interface Database<Tables> {
  readonly db: Kysely<Tables>
  /**
   * For what runs on many a request: PostgreSQL plans it once for each connection, and a few connections take such
   * statements one behind another without waiting for answers. To wait for a lock in one holds up those behind it.
   */
  readonly prepare: Prepare
  /** Resolves when a statement went through and back. */
  ping(): Promise<void>
  /** Of its connections. */
  poolState(): PoolState
  close(): Promise<void>
}

/** The options that come from the settings of a service (env.ts, `databaseSettings`). */
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

// A bigint keeps its digits. A timestamp becomes a Date, which has milliseconds: who needs its microseconds selects it as text.
const INT8 = 20
const types = new pg.TypeOverrides()
types.setTypeParser(INT8, text => BigInt(text))

export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const { logger, poolSize = availableParallelism() * 2 + 1, preparedStatements } = options
  const { acquireTimeoutMs = 2000, statementTimeoutMs = 2500, slowStatementMs = 250 } = options
  // Transactions keep two connections at the least, so that one can wait for the other.
  const pipelined = preparedStatements === false || poolSize < 3 ? 0 : Math.floor(poolSize / 2)
  const connection = {
    connectionString: options.url,
    types,
    connectionTimeoutMillis: acquireTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 250,
    options: `-c search_path=${options.schema}`,
  }
  const onLost = (error: Error) => logger.warn({ err: error }, 'a database connection was lost')
  const pool = new pg.Pool({ ...connection, max: poolSize - pipelined })
  // On each client, since one that is lost while it is in use, between two statements, tells nobody else, and would end
  // the process. The pool itself repeats what its idle clients say.
  pool.on('connect', client => client.on('error', onLost))
  pool.on('error', () => {})

  const trace = traceStatements(options)
  const explain = options.planSlowStatements === true ? explainBy(pool) : undefined
  const logSlow = logSlowStatements({ logger, slowMs: slowStatementMs, explain })
  const record = (event: LogEvent) => {
    trace(event)
    logSlow(event)
  }
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: record })
  const pipelines = Array.from({ length: pipelined }, () => createPipeline(connection, onLost))
  return {
    db,
    prepare: pipelined === 0 ? prepareIn(db) : prepareOn(pipelines, { db, record }),
    ping: async () => {
      await sql`select 1`.execute(db)
    },
    poolState: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
      pipelined: pipelines.reduce((sum, { underWay }) => sum + underWay, 0),
    }),
    close: async () => {
      await Promise.all([...pipelines.map(pipeline => pipeline.close()), db.destroy()])
    },
  }
}

/** The plan for any values (PostgreSQL 16 and later), which runs nothing and tells none. */
function explainBy(pool: pg.Pool): (statement: string) => Promise<string[]> {
  return async statement => {
    const { rows } = await pool.query<[string]>({ text: `explain (generic_plan) ${statement}`, rowMode: 'array' })
    return rows.map(([line]) => line)
  }
}
