import { promises as fs } from 'node:fs'
import { Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { type Attributes, SpanKind } from '@opentelemetry/api'
import {
  AliasNode,
  type CompiledQuery,
  Kysely,
  type LogEvent,
  type OperationNode,
  PostgresDialect,
  type QueryResult,
  type RootOperationNode,
  sql,
  TableNode,
} from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from './logger.ts'
import type { PoolState } from './metrics.ts'
import { Code, StatusError, unavailable } from './status.ts'
import { activeSpanContext, childOf, isSampled, recordSpan } from './telemetry.ts'

export interface DatabaseOptions {
  url: string
  /** The service's own schema: the only one on its search path. */
  schema: string
  logger: Logger
  /** Connections at most; cores x 2 + 1 unless given, beyond which PostgreSQL gains nothing. */
  poolSize?: number | undefined
  /** Milliseconds that one statement may take. */
  statementTimeoutMs?: number
  /** False behind a pooler that gives each transaction another connection. */
  preparedStatements?: boolean
}

/** Runs by itself, in no transaction. @returns its rows. */
export type Statement<Row> = (...values: readonly unknown[]) => Promise<Row[]>

/** @param compile makes the query, with any values in it: those of a run take their places, in order. */
export type Prepare = <Row>(compile: () => CompiledQuery<Row>) => Statement<Row>

export interface Database<Tables> {
  readonly db: Kysely<Tables>
  /**
   * For what runs on many a request: PostgreSQL plans it once for each connection, and a few connections take such
   * statements one behind another without waiting for answers. A select by key took 64 us of CPU by Kysely and its pool,
   * 17 us so. To wait for a lock in one holds up those behind it.
   */
  readonly prepare: Prepare
  /** Resolves when a statement went through and back. */
  ping(): Promise<void>
  /** Of its connections. */
  poolState(): PoolState
  close(): Promise<void>
}

// A bigint keeps its digits. A timestamp becomes a Date, which has milliseconds: who needs its microseconds selects it as text.
const INT8 = 20
const types = new pg.TypeOverrides()
types.setTypeParser(INT8, text => BigInt(text))

export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const { logger, poolSize = availableParallelism() * 2 + 1, statementTimeoutMs = 2500, preparedStatements } = options
  // Transactions keep two connections at the least, so that one can wait for the other.
  const pipelined = preparedStatements === false || poolSize < 3 ? 0 : Math.floor(poolSize / 2)
  const connection = {
    connectionString: options.url,
    types,
    connectionTimeoutMillis: 2000,
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
  const record = recordStatements(options)
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

interface QueryRunner {
  executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>>
}

/** Statements as they are elsewhere: within a transaction, say. */
export function prepareIn(db: QueryRunner): Prepare {
  return <Row>(compile: () => CompiledQuery<Row>) =>
    async (...parameters: readonly unknown[]): Promise<Row[]> => {
      const { rows } = await db.executeQuery<Row>({ ...compile(), parameters })
      return rows
    }
}

// A connection with fewer statements under way takes the next one: what goes together takes one write and one read.
// One that is held up is left alone.
const FILLED = 16

function prepareOn(
  pipelines: readonly Pipeline[],
  { db, record }: { db: QueryRunner; record: (event: LogEvent) => void },
): Prepare {
  const pick = () =>
    pipelines.find(({ underWay }) => underWay < FILLED) ??
    pipelines.reduce((least, pipeline) => (pipeline.underWay < least.underWay ? pipeline : least))
  let count = 0

  return <Row>(compile: () => CompiledQuery<Row>) => {
    const query = compile()
    count += 1
    const named = { name: `statement_${count}`, text: query.sql }
    return async (...values: readonly unknown[]): Promise<Row[]> => {
      const pipeline = pick()
      const startedAt = performance.now()
      const event = () => ({ query, queryDurationMillis: performance.now() - startedAt })
      try {
        const rows = await pipeline.run(named, values)
        record({ level: 'query', ...event() })
        return rows as Row[]
      } catch (error) {
        record({ level: 'error', error, ...event() })
        if (!isOutdated(error)) throw error
        pipeline.retire()
        return (await db.executeQuery<Row>({ ...query, parameters: values })).rows
      }
    }
  }
}

// A migration changed what the statement answers, or there is no such statement after all. It was not run.
const OUTDATED_STATES = ['0A000', '26000']

function isOutdated(error: unknown): boolean {
  return error instanceof pg.DatabaseError && OUTDATED_STATES.includes(error.code ?? '')
}

interface Pipeline {
  readonly underWay: number
  run(statement: { name: string; text: string }, values: readonly unknown[]): Promise<unknown[]>
  /** What is under way ends here, what follows goes by a new connection. */
  retire(): void
  close(): Promise<void>
}

/** One connection on which statements do not wait for each other's answers; a new one when it is lost. */
function createPipeline(config: pg.ClientConfig, onLost: (error: Error) => void): Pipeline {
  let underWay = 0
  let open: { client: pg.Client; socket: Socket; connecting: Promise<unknown> | undefined } | undefined
  let isCorked = false

  function connect() {
    const socket = new Socket()
    const client = new pg.Client({ ...config, pipeline: true, stream: () => socket })
    client.on('error', onLost)
    const connection = { client, socket, connecting: undefined as Promise<unknown> | undefined }
    const forget = () => {
      if (open === connection) open = undefined
    }
    client.once('end', forget)
    connection.connecting = client.connect().then(
      () => {
        connection.connecting = undefined
      },
      error => {
        forget()
        throw error
      },
    )
    open = connection
    return connection
  }

  /** Writes once for all statements that begin in this turn of the event loop. */
  function gatherWrites(socket: Socket): void {
    if (isCorked) return
    isCorked = true
    socket.cork()
    setImmediate(() => {
      isCorked = false
      socket.uncork()
    })
  }

  async function retire(): Promise<void> {
    const retired = open
    open = undefined
    await retired?.connecting
    await retired?.client.end()
  }

  return {
    get underWay() {
      return underWay
    },
    async run(statement, values) {
      underWay += 1
      try {
        // One that was given up for its silence is not yet known to have ended.
        const connection = open === undefined || open.socket.destroyed ? connect() : open
        if (connection.connecting !== undefined) await connection.connecting
        gatherWrites(connection.socket)
        const { rows } = await connection.client.query({ ...statement, values: [...values] })
        return rows
      } finally {
        underWay -= 1
      }
    },
    retire() {
      void retire().catch(onLost)
    },
    // One that never came about need not be closed.
    close: () => retire().catch(() => {}),
  }
}

/** A span for each statement of what is sampled, in a transaction or not, and none of the values that go with it. */
function recordStatements({ url, schema }: DatabaseOptions): (event: LogEvent) => void {
  const { host, port, database } = new pg.Client({ connectionString: url })
  const target: Attributes = {
    'db.system.name': 'postgresql',
    'db.namespace': `${database}|${schema}`,
    'server.address': host,
    'server.port': port,
  }
  return event => {
    const parent = activeSpanContext()
    if (!isSampled(parent)) return
    const { query, queryDurationMillis } = event
    const operation = operationOf(query.query, query.sql)
    const table = tableOf(query.query)
    const sqlState = event.level === 'error' ? sqlStateOf(event.error) : undefined
    recordSpan({
      name: table === undefined ? operation : `${operation} ${table}`,
      kind: SpanKind.CLIENT,
      spanContext: childOf(parent),
      parent,
      startedAt: performance.now() - queryDurationMillis,
      attributes: {
        ...target,
        'db.operation.name': operation,
        'db.collection.name': table,
        'db.query.text': query.sql,
        'db.response.status_code': sqlState,
      },
      errorType: event.level === 'error' ? (sqlState ?? '_OTHER') : undefined,
    })
  }
}

const OPERATIONS: Partial<Record<RootOperationNode['kind'], string>> = {
  SelectQueryNode: 'SELECT',
  InsertQueryNode: 'INSERT',
  UpdateQueryNode: 'UPDATE',
  DeleteQueryNode: 'DELETE',
}

/** What is written as SQL is named by its first word, such as COMMIT: it is one statement, as the driver sends it. */
function operationOf({ kind }: RootOperationNode, text: string): string {
  return OPERATIONS[kind] ?? /[a-z]+/i.exec(text)?.[0].toUpperCase() ?? 'SQL'
}

function tableOf(node: RootOperationNode): string | undefined {
  switch (node.kind) {
    case 'SelectQueryNode':
    case 'DeleteQueryNode':
      return nameOf(node.from?.froms[0])
    case 'InsertQueryNode':
      return nameOf(node.into)
    case 'UpdateQueryNode':
      return nameOf(node.table)
    default:
      return undefined
  }
}

function nameOf(table: OperationNode | undefined): string | undefined {
  if (table === undefined) return undefined
  if (AliasNode.is(table)) return nameOf(table.node)
  return TableNode.is(table) ? table.table.identifier.name : undefined
}

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/**
 * Brings the schema up to date with the files of `folder`. Safe to run from several processes at once: Kysely holds a
 * lock, and each run is one transaction.
 * @throws the error of the migration that failed, naming it.
 */
export async function migrate(options: { url: string; schema: string; folder: string; logger: Logger }): Promise<void> {
  const { db, close } = openDatabase<unknown>({ ...options, poolSize: 1, statementTimeoutMs: 60_000 })
  try {
    const migrator = new Migrator({
      db,
      migrationTableSchema: options.schema,
      provider: new FileMigrationProvider({ fs, path, migrationFolder: options.folder }),
    })
    const { error, results = [] } = await migrator.migrateToLatest()
    for (const { migrationName, status } of results)
      options.logger.info({ migration: migrationName, status }, 'migrated')
    if (error !== undefined) {
      const failed = results.find(result => result.status === 'Error')
      throw new Error(`Migration ${failed?.migrationName ?? 'set-up'} of ${options.schema} failed`, { cause: error })
    }
  } finally {
    await close()
  }
}

// SQLSTATE (PostgreSQL, appendix A): class 08 connection, class 53 resources (such as too many connections), 57P*
// shutdown and crash, 25006 a primary that has become a standby.
const UNAVAILABLE_STATE = /^(08|53|57P|25006)/
const QUERY_CANCELED = '57014'
const CONFLICT_STATES = ['40001', '40P01'] // serialization failure, deadlock

const UNREACHABLE = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN|ENOENT)/
// What pg, its pool and Kysely say without a code.
const NO_CONNECTION =
  /^(Connection terminated|timeout ex|Client (has encountered a connection error|was closed)|Cannot use a pool|driver has)/
const READ_TIMEOUT = 'Query read timeout'

/**
 * What a failure of the database means to a caller: UNAVAILABLE when the connection is lost or none can be had,
 * DEADLINE_EXCEEDED when a statement took too long, ABORTED when another transaction won and a retry may succeed.
 * @returns the error itself where only its thrower can tell, as with a violated constraint.
 */
export function toStatusError(error: unknown): unknown {
  if (error instanceof StatusError || !(error instanceof Error)) return error
  const state = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  if (UNAVAILABLE_STATE.test(state) || (state === '' && isUnreachable(error))) {
    return unavailable('The database cannot be reached', { cause: error })
  }
  if (state === QUERY_CANCELED || error.message === READ_TIMEOUT) {
    return new StatusError(Code.DEADLINE_EXCEEDED, 'The database took too long', {
      reason: 'deadline_exceeded',
      cause: error,
    })
  }
  if (CONFLICT_STATES.includes(state)) {
    return new StatusError(Code.ABORTED, 'Another change came in between', { reason: 'aborted', cause: error })
  }
  return error
}

function isUnreachable(error: Error): boolean {
  return ('code' in error && UNREACHABLE.test(String(error.code))) || NO_CONNECTION.test(error.message)
}
