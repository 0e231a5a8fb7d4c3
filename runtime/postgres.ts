import { promises as fs } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { type Attributes, SpanKind } from '@opentelemetry/api'
import {
  AliasNode,
  Kysely,
  type LogEvent,
  type OperationNode,
  PostgresDialect,
  type RootOperationNode,
  sql,
  TableNode,
} from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from './logger.ts'
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
}

export interface Database<Tables> {
  readonly db: Kysely<Tables>
  /** Resolves when a statement went through and back. */
  ping(): Promise<void>
  close(): Promise<void>
}

// A bigint keeps its digits. A timestamp becomes a Date, which has milliseconds: who needs its microseconds selects it as text.
const INT8 = 20
const types = new pg.TypeOverrides()
types.setTypeParser(INT8, text => BigInt(text))

export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize ?? availableParallelism() * 2 + 1,
    types,
    connectionTimeoutMillis: 2000,
    statement_timeout: options.statementTimeoutMs ?? 2500,
    query_timeout: (options.statementTimeoutMs ?? 2500) + 250,
    options: `-c search_path=${options.schema}`,
  })
  // On each client, since one that is lost while it is in use, between two statements, tells nobody else, and would end
  // the process. The pool itself repeats what its idle clients say.
  pool.on('connect', client =>
    client.on('error', error => options.logger.warn({ err: error }, 'a database connection was lost')),
  )
  pool.on('error', () => {})
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: recordStatements(options) })
  return {
    db,
    ping: async () => {
      await sql`select 1`.execute(db)
    },
    close: () => db.destroy(),
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
