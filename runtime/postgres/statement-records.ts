/** Spans and slow-statement logs of SQL statements. Neither contains parameter values. */
import { type Attributes, SpanKind } from '@opentelemetry/api'
import { AliasNode, type LogEvent, type OperationNode, type RootOperationNode, TableNode } from 'kysely'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import { activeSpanContext, childSpanContext, recordSpan } from '../observability/spans.ts'
import { isSampled } from '../observability/trace-context.ts'

/** Receives each statement after it has run, as the log function of Kysely. */
export type RecordStatement = (event: LogEvent) => void

export interface SlowStatementsOptions {
  readonly logger: Logger
  /** Duration from which a statement is logged, in milliseconds. */
  readonly slowMs: number
  /** Returns the query plan of a statement as lines; undefined if plans are not logged. */
  readonly explain: ((statement: string) => Promise<string[]>) | undefined
}

/** Minimum time between two plans of the same statement. */
const PLAN_INTERVAL_MS = 60_000
const MAX_TRACKED_STATEMENTS = 1000

/**
 * Logs slow statements and, if configured, their query plans, with the trace id of the request. One plan is requested
 * at a time, so that an overloaded database gets little additional work.
 */
export function logSlowStatements({ logger, slowMs, explain }: SlowStatementsOptions): RecordStatement {
  const planned = new Map<string, number>()
  let isPlanning = false

  async function plan(statement: string): Promise<void> {
    const last = planned.get(statement)
    if (explain === undefined || isPlanning || (last !== undefined && performance.now() - last < PLAN_INTERVAL_MS))
      return
    if (planned.size >= MAX_TRACKED_STATEMENTS) planned.clear()
    planned.set(statement, performance.now())
    isPlanning = true
    try {
      logger.warn({ statement, plan: await explain(statement) }, 'plan of a slow statement')
    } catch (error) {
      logger.debug({ err: error, statement }, 'cannot plan slow statement')
    } finally {
      isPlanning = false
    }
  }

  return ({ query, queryDurationMillis }) => {
    if (queryDurationMillis < slowMs) return
    logger.warn({ statement: query.sql, ms: Math.round(queryDurationMillis) }, 'slow statement')
    void plan(query.sql)
  }
}

/** Records a span for each statement of a sampled trace, inside and outside of transactions. */
export function traceStatements({ url, schema }: { url: string; schema: string }): RecordStatement {
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
      spanContext: childSpanContext(parent),
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

/** Raw SQL is named by its first keyword, such as COMMIT. */
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
