/** Counts the SQL statements that this process sends, on all connections: pools, transactions, prepared statements. */
import pg from 'pg'

let count = 0

const { query } = pg.Client.prototype
pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
  if (!isPing(args[0])) count += 1
  return Reflect.apply(query, this, args)
} as typeof query

/** The health check of a server runs `select 1` once a second. */
function isPing(query: unknown): boolean {
  return (typeof query === 'object' && query !== null && 'text' in query ? query.text : query) === 'select 1'
}

/** Returns the number of statements sent during `work`. No other work may run at the same time. */
export async function countStatements(work: () => Promise<unknown>): Promise<number> {
  const before = count
  await work()
  return count - before
}
