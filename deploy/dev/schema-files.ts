import type pg from 'pg'
import { dumpSchema } from './schema-dump.ts'
import { generateTypes } from './schema-types.ts'

/** What `make schema` writes: files by their path in the checkout, each with what the database makes of it. */
export async function describeSchemas(client: pg.Client): Promise<Map<string, string>> {
  return new Map([
    ['auth-svc/schema.sql', await dumpSchema(client, 'auth')],
    ['auth-svc/schema.ts', await generateTypes(client, 'auth')],
    ['user-svc/schema.sql', await dumpSchema(client, 'users')],
    ['user-svc/schema.ts', await generateTypes(client, 'users')],
  ])
}
