/** Counts what this process sends to PostgreSQL, by whatever connection: pools, transactions, prepared statements. */
import pg from 'pg'

let count = 0

const { query } = pg.Client.prototype
pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
  count += 1
  return Reflect.apply(query, this, args)
} as typeof query

/** @returns the statements of `work`, which nothing else may mix its own with. */
export async function countStatements(work: () => Promise<unknown>): Promise<number> {
  const before = count
  await work()
  return count - before
}
