/** The PostgreSQL and the Redis of a test run, which a separate process runs (store-keeper.ts). */
import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { execaNode } from 'execa'
import type { DatabaseUrls } from '../../deploy/dev/database.ts'
import { withDatabase } from '../../deploy/dev/provision.ts'

export interface Stores {
  /** URL of the database `postgres` as the superuser. */
  postgres: string
  /** URL of the server, without a database number. */
  redis: string
  /** Folder for files of the run. Removed at its end. */
  directory: string
}

/** Environment variable with the `Stores` of the run as JSON. */
export const STORES = 'GATEHOUSE_TEST_STORES'
/** Environment variable with the id of the run. Every process of the run inherits it. */
export const RUN_ID = 'GATEHOUSE_TEST_RUN'

/** Database with both schemas, migrated and empty. Each test gets a copy. */
export const TEMPLATE_DATABASE = 'gatehouse_template'

/**
 * Returns the URLs of a database per role. The password of each role is its name.
 * @param adminUrl any database of the server, as the superuser.
 */
export function urlsOf(adminUrl: string, database: string): DatabaseUrls {
  const as = (role: string) => {
    const url = new URL(withDatabase(adminUrl, database))
    url.username = role
    url.password = role
    return url.href
  }
  return { authUrl: as('auth_svc'), userUrl: as('user_svc'), adminUrl: withDatabase(adminUrl, database) }
}

export interface RunningStores {
  /** Environment variables for the processes of the run. */
  readonly env: Record<string, string>
  readonly stores: Stores
  /** Stops the stores and removes their data. */
  stop(): Promise<void>
}

/** Starts the stores. @throws if they do not start; their output is on standard error. */
export async function startStores(): Promise<RunningStores> {
  const runId = randomUUID()
  const keeper = execaNode(path.join(import.meta.dirname, 'store-keeper.ts'), {
    env: { [RUN_ID]: runId },
    nodeOptions: [],
    // Ctrl-C must not reach the stores: they stop when standard input ends, after the tests.
    detached: true,
    cleanup: false,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
    buffer: false,
    reject: false,
  })
  const [line] = await Promise.race([
    createInterface({ input: keeper.stdout })
      [Symbol.asyncIterator]()
      .next()
      .then(({ value }) => [value]),
    keeper.then(() => [undefined]),
  ])
  if (line === undefined) throw new Error('The stores of the test run did not start')
  return {
    env: { [STORES]: line, [RUN_ID]: runId },
    stores: JSON.parse(line),
    async stop() {
      keeper.stdin.end()
      await keeper
    },
  }
}
