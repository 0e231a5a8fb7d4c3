/**
 * What an operator does once in a database cluster: a role and a schema for each service, neither of which reads the
 * other's. Safe to repeat; passwords follow what is given.
 */
import pg from 'pg'

export interface Passwords {
  auth_svc: string
  user_svc: string
}

const SCHEMAS = { auth_svc: 'auth', user_svc: 'users' } as const

/** @param adminUrl of any database of the cluster, as a superuser. */
export async function provision(adminUrl: string, database: string, passwords: Passwords): Promise<void> {
  await withClient(adminUrl, async client => {
    for (const [role, password] of Object.entries(passwords)) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
      const verb = rowCount === 0 ? 'create' : 'alter'
      await client.query(`${verb} role ${role} login password ${client.escapeLiteral(password)}`)
    }
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`)
    await grantDatabase(client, database)
  })
  await withClient(withDatabase(adminUrl, database), async client => {
    for (const [role, schema] of Object.entries(SCHEMAS)) {
      await client.query(`create schema if not exists ${schema} authorization ${role}`)
    }
  })
}

/**
 * What belongs to a database and not to what is in it, so that a copy by template lacks it. Both may create schemas:
 * their job queues bring one each. The search path is for connections through a pooler, which do not get the one that
 * a service asks for.
 */
export async function grantDatabase(client: pg.Client, database: string): Promise<void> {
  const name = client.escapeIdentifier(database)
  await client.query(`revoke all on database ${name} from public`)
  await client.query(`grant connect on database ${name} to auth_svc, user_svc`)
  await client.query(`grant create on database ${name} to auth_svc, user_svc`)
  for (const [role, schema] of Object.entries(SCHEMAS)) {
    await client.query(`alter role ${role} in database ${name} set search_path = ${schema}`)
  }
}

/** @param adminUrl of the database of the system, migrated. */
export function hasAdministrator(adminUrl: string): Promise<boolean> {
  return withClient(adminUrl, async client => {
    const { rowCount } = await client.query("select from users.users where role = 'admin' limit 1")
    return rowCount === 1
  })
}

export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

export async function withClient<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
