/** The stores of the run that this test file belongs to: the runner's, or its own when it is run alone. */
import t from 'tap'
import { STORES, type Stores, startStores } from './stores.ts'

let stores: Promise<Stores> | undefined

export function runStores(): Promise<Stores> {
  stores ??= findStores()
  return stores
}

async function findStores(): Promise<Stores> {
  const given = process.env[STORES]
  if (given !== undefined) return JSON.parse(given)
  // As the runner has it in .taprc.
  t.setTimeout(120_000)
  const own = await startStores()
  Object.assign(process.env, own.env)
  t.teardown(() => own.stop())
  return own.stores
}
