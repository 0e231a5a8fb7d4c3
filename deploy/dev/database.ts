/** The PostgreSQL of a data folder. */
import path from 'node:path'
import type { Child } from './child.ts'
import { migrateAll } from './migrate.ts'
import { clearStaleLock, postgresUrl, startPostgres } from './postgres.ts'
import { provision } from './provision.ts'
import type { Secrets } from './secrets.ts'

const DATABASE = 'gatehouse'

/** URLs of the database `gatehouse` as the superuser postgres and as the roles auth_svc and user_svc. */
export interface DatabaseUrls {
  adminUrl: string
  authUrl: string
  userUrl: string
}

/** Starts PostgreSQL on the folder `postgres` of a data folder. Resolves when it accepts connections. */
export async function startDatabase(
  dataDir: string,
  options: { port: number; secrets: Secrets; onLine?: (line: string) => void },
): Promise<Child> {
  const folder = path.join(dataDir, 'postgres')
  await clearStaleLock(folder)
  const { port, onLine } = options
  return startPostgres({ dataDir: folder, port, password: options.secrets.POSTGRES_PASSWORD, onLine })
}

/** Creates missing roles, database and schemas, then applies the pending migrations of both services. */
export async function prepareDatabase(port: number, secrets: Secrets): Promise<DatabaseUrls> {
  const urls = await provisionDatabase(port, secrets)
  await migrateAll(urls)
  return urls
}

/** Creates missing roles, database and schemas. */
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
