import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { withClient } from './provision.ts'
import { dumpSchema } from './schema-dump.ts'
import { generateTypes } from './schema-types.ts'

const SCHEMAS = { 'auth-svc': 'auth', 'user-svc': 'users' } as const

/**
 * @param adminUrl a migrated database, as a superuser.
 * @returns the contents of the files that `make schema` writes, by their path in the repository.
 */
export async function describeSchemas(adminUrl: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  const pool = new pg.Pool({ connectionString: adminUrl, max: 1 })
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    for (const [service, schema] of Object.entries(SCHEMAS)) {
      files.set(`${service}/schema.sql`, await withClient(adminUrl, client => dumpSchema(client, schema)))
      files.set(`${service}/schema.ts`, await generateTypes(db, schema))
    }
  } finally {
    await db.destroy()
  }
  return files
}
