import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { DatabaseUrls } from '../../deploy/dev/database.ts'
import { grantDatabase, withClient } from '../../deploy/dev/provision.ts'
import { runStores } from './run-stores.ts'
import { TEMPLATE_DATABASE, urlsOf } from './stores.ts'

/**
 * Creates a database for one test, with both schemas migrated and empty. It exists until the end of the run, so that
 * connections that outlive the test cause no errors.
 */
export async function openTestDatabase(_t: Test): Promise<DatabaseUrls> {
  const { postgres } = await runStores()
  const database = `test_${randomUUID().replaceAll('-', '')}`
  await withClient(postgres, async client => {
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE}`)
    await grantDatabase(client, database)
  })
  return urlsOf(postgres, database)
}
