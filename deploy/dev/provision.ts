/**
 * The one-time set-up of a database cluster that an operator does in production: a role and a schema for each service.
 * Neither role can read the schema of the other.
 */
import pg from 'pg'

export interface Passwords {
  auth_svc: string
  user_svc: string
}

const SCHEMAS = { auth_svc: 'auth', user_svc: 'users' } as const

/**
 * Creates the roles, the database and the schemas that are missing, and sets the passwords of the roles. Idempotent.
 * @param adminUrl any database of the cluster, as a superuser.
 */
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
 * Sets the privileges and the search paths of a database, which `create database … template` does not copy.
 *
 * Both roles may create schemas, because each job queue has its own schema. The search path is set per role, because
 * a connection through a pooler ignores the one in the start-up parameters.
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

/** Whether there is an active user with the role `admin`. @param adminUrl a migrated database, as a superuser. */
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

/** Runs `work` with a new connection and closes it. */
export async function withClient<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
