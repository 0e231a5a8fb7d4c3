/** Counts what this process sends to PostgreSQL, by whatever connection: pools, transactions, prepared statements. */
import pg from 'pg'

let count = 0

const { query } = pg.Client.prototype
pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
  if (!isPing(args[0])) count += 1
  return Reflect.apply(query, this, args)
} as typeof query

/** The server asks once a second whether its database is there. */
function isPing(query: unknown): boolean {
  return (typeof query === 'object' && query !== null && 'text' in query ? query.text : query) === 'select 1'
}

/** @returns the statements of `work`, which nothing else may mix its own with. */
export async function countStatements(work: () => Promise<unknown>): Promise<number> {
  const before = count
  await work()
  return count - before
}
