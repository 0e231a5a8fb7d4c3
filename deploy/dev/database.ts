/** The database of a data folder: where it is reached, and how it is brought up to date. */
import path from 'node:path'
import type { Child } from './child.ts'
import { migrateAll } from './migrate.ts'
import { clearStaleLock, postgresUrl, startPostgres } from './postgres.ts'
import { provision } from './provision.ts'
import type { Secrets } from './secrets.ts'

const DATABASE = 'gatehouse'

export interface DatabaseUrls {
  adminUrl: string
  authUrl: string
  userUrl: string
}

export async function startDatabase(
  dataDir: string,
  options: { port: number; secrets: Secrets; onLine?: (line: string) => void },
): Promise<Child> {
  const folder = path.join(dataDir, 'postgres')
  await clearStaleLock(folder)
  const { port, onLine } = options
  return startPostgres({ dataDir: folder, port, password: options.secrets.POSTGRES_PASSWORD, onLine })
}

/** Makes roles, database and schemas where they are not there, and runs the migrations that have not run. */
export async function prepareDatabase(port: number, secrets: Secrets): Promise<DatabaseUrls> {
  const urls = await provisionDatabase(port, secrets)
  await migrateAll(urls)
  return urls
}

/** Makes roles, database and schemas where they are not there. */
export async function provisionDatabase(port: number, secrets: Secrets): Promise<DatabaseUrls> {
  const url = (user: string, password: string, database = DATABASE) => postgresUrl({ port, user, password, database })
  await provision(url('postgres', secrets.POSTGRES_PASSWORD, 'postgres'), DATABASE, {
    auth_svc: secrets.AUTH_SVC_PASSWORD,
    user_svc: secrets.USER_SVC_PASSWORD,
  })
  return {
    adminUrl: url('postgres', secrets.POSTGRES_PASSWORD),
    authUrl: url('auth_svc', secrets.AUTH_SVC_PASSWORD),
    userUrl: url('user_svc', secrets.USER_SVC_PASSWORD),
  }
}
