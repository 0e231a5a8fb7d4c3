/** The stores that a test file uses: those of the runner, or its own if the file runs alone. */
import t from 'tap'
import { STORES, type Stores, startStores } from './stores.ts'

let stores: Promise<Stores> | undefined

/** Returns the stores of this run. Starts them at the first call if the file runs alone. */
export function runStores(): Promise<Stores> {
  stores ??= findStores()
  return stores
}

async function findStores(): Promise<Stores> {
  const given = process.env[STORES]
  if (given !== undefined) return JSON.parse(given)
  // The timeout of .taprc, which applies only under the runner. A file may have set a longer one.
  t.setTimeout(Math.max(120_000, t.options.timeout ?? 0))
  const own = await startStores()
  Object.assign(process.env, own.env)
  t.teardown(() => own.stop())
  return own.stores
}
