/**
 * Prepared statements on connections beside the pool, on which they do not wait for each other's answers. A select by key
 * took 64 us of CPU by Kysely and its pool, 17 us so.
 */
import { Socket } from 'node:net'
import type { CompiledQuery, LogEvent, QueryResult } from 'kysely'
import pg from 'pg'

/** Runs by itself, in no transaction. @returns its rows. */
export type Statement<Row> = (...values: readonly unknown[]) => Promise<Row[]>

/** @param compile makes the query, with any values in it: those of a run take their places, in order. */
export type Prepare = <Row>(compile: () => CompiledQuery<Row>) => Statement<Row>

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

export function prepareOn(
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

export interface Pipeline {
  readonly underWay: number
  run(statement: { name: string; text: string }, values: readonly unknown[]): Promise<unknown[]>
  /** What is under way ends here, what follows goes by a new connection. */
  retire(): void
  close(): Promise<void>
}

/** One connection on which statements do not wait for each other's answers; a new one when it is lost. */
export function createPipeline(config: pg.ClientConfig, onLost: (error: Error) => void): Pipeline {
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
