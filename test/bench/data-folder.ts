/** A database with sample data under .data/bench-data, which is kept between runs. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import getPort from 'get-port'
import pg from 'pg'
import { type DatabaseUrls, prepareDatabase, startDatabase } from '../../deploy/dev/database.ts'
import { ROOT } from '../../deploy/dev/migrate.ts'
import { loadSecrets } from '../../deploy/dev/secrets.ts'
import { type LoadStep, loadRows } from '../../deploy/dev/seed-load.ts'
import { seedTables } from '../../deploy/dev/seed-rows.ts'

const FOLDER = path.join(ROOT, '.data/bench-data')

export interface DataFolder extends DatabaseUrls {
  /** Steps of the load. Empty if the data existed. */
  readonly steps: readonly LoadStep[]
  /** Current process ids of PostgreSQL: one per connection, and those of the server. */
  processes(): number[]
  stop(): Promise<void>
}

/**
 * Starts the database, and loads the sample data if it is empty.
 * @throws if it contains fewer documents than requested.
 */
export async function openDataFolder(size: { users: number; documents: number }): Promise<DataFolder> {
  const secrets = await loadSecrets(FOLDER)
  const port = await getPort()
  const server = await startDatabase(FOLDER, { port, secrets })
  const urls = await prepareDatabase(port, secrets)
  const client = new pg.Client({ connectionString: urls.userUrl, options: '-c search_path=users' })
  await client.connect()
  const steps: LoadStep[] = []
  try {
    await client.query('set statement_timeout = 0')
    const { rows } = await client.query('select count(*)::int as count from documents_all')
    const { count } = rows[0]
    if (count === 0) {
      await loadRows(client, seedTables({ ...size, seed: 1, now: Date.now() }), step => steps.push(step))
    } else if (count < size.documents) {
      throw new Error(`${FOLDER} contains ${count} documents, not ${size.documents}. Delete it, or set DOCS=${count}.`)
    }
  } catch (error) {
    await server.stop()
    throw error
  } finally {
    await client.end()
  }
  return { ...urls, steps, processes: () => [server.pid, ...childrenOf(server.pid)], stop: () => server.stop() }
}

/** Reads /proc. @returns an empty list on other systems than Linux. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
}
