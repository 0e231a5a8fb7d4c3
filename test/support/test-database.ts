import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { grantDatabase, withClient } from '../../deploy/dev/provision.ts'
import { runStores } from './run-stores.ts'
import { type DatabaseUrls, TEMPLATE_DATABASE, urlsOf } from './stores.ts'

/**
 * A database of this test's own: both schemas, migrated, without rows. It goes with the run's server, so that whatever
 * of the test still holds a connection ends in peace.
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
