/**
 * What is kept of a statement that has run: a span, if its trace is sampled, and a line in the log, if it was slow. None
 * of the values that went with it, neither there nor there.
 */
import { type Attributes, SpanKind } from '@opentelemetry/api'
import { AliasNode, type LogEvent, type OperationNode, type RootOperationNode, TableNode } from 'kysely'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import { activeSpanContext, childSpanContext, recordSpan } from '../observability/spans.ts'
import { isSampled } from '../observability/trace-context.ts'

export type RecordStatement = (event: LogEvent) => void

export interface SlowStatementsOptions {
  readonly logger: Logger
  /** Milliseconds from which on a statement is logged. */
  readonly slowMs: number
  /** Plans a statement without its values, as lines; undefined plans none. */
  readonly explain: ((statement: string) => Promise<string[]>) | undefined
}

/** A plan of the same statement again says nothing new so soon. */
const PLAN_EVERY_MS = 60_000
const PLANS_KEPT = 1000

/**
 * Logs what was slow, within the trace in which it ran, and how PostgreSQL would plan it: one plan at a time, so that a
 * database in need is not asked for more.
 */
export function logSlowStatements({ logger, slowMs, explain }: SlowStatementsOptions): RecordStatement {
  const planned = new Map<string, number>()
  let isPlanning = false

  async function plan(statement: string): Promise<void> {
    const last = planned.get(statement)
    if (explain === undefined || isPlanning || (last !== undefined && performance.now() - last < PLAN_EVERY_MS)) return
    if (planned.size >= PLANS_KEPT) planned.clear()
    planned.set(statement, performance.now())
    isPlanning = true
    try {
      logger.warn({ statement, plan: await explain(statement) }, 'plan of a slow statement')
    } catch (error) {
      logger.debug({ err: error, statement }, 'a slow statement could not be planned')
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

/** A span for each statement of what is sampled, in a transaction or not. */
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
