/**
 * The PostgreSQL and the Redis of a test run, kept by a process of their own (store-keeper.ts).
 */
import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { execaNode } from 'execa'
import { withDatabase } from '../../deploy/dev/provision.ts'

export interface Stores {
  /** As the superuser, of the database `postgres`. */
  postgres: string
  redis: string
  /** A folder for the files of the run, removed at its end. */
  directory: string
}

/** Environment variables: where the stores of the run are, and the mark that its processes bear. */
export const STORES = 'GATEHOUSE_TEST_STORES'
export const RUN_MARK = 'GATEHOUSE_TEST_RUN'

/** Both schemas, migrated and empty; each test file gets a copy. */
export const TEMPLATE_DATABASE = 'gatehouse_template'

export interface DatabaseUrls {
  /** As auth_svc and user_svc, each of whom sees its own schema only, and as the superuser. */
  authUrl: string
  userUrl: string
  adminUrl: string
}

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
  /** For the environment of whatever takes part in the run. */
  readonly env: Record<string, string>
  readonly stores: Stores
  /** Ends them and removes their data. */
  stop(): Promise<void>
}

/** @throws when they do not start; what they said is on standard error. */
export async function startStores(): Promise<RunningStores> {
  const mark = randomUUID()
  const keeper = execaNode(path.join(import.meta.dirname, 'store-keeper.ts'), {
    env: { [RUN_MARK]: mark },
    nodeOptions: [],
    // A group of its own: it must see the end of the run, not the Ctrl-C that causes it.
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
    env: { [STORES]: line, [RUN_MARK]: mark },
    stores: JSON.parse(line),
    async stop() {
      keeper.stdin.end()
      await keeper
    },
  }
}
