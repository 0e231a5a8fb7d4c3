import type { Test } from 'tap'
import { type Database, openDatabase } from '#runtime/postgres/database.ts'
import { SCHEMA, type Tables } from '../../auth-svc/tables.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { logger } from './silent-logger.ts'

/** A database of the test's own, as auth-svc sees it. */
export async function openAuthDatabase(t: Test): Promise<Database<Tables>> {
  const { authUrl } = await openTestDatabase(t)
  const database = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger, poolSize: 10 })
  t.teardown(() => database.close())
  return database
}
