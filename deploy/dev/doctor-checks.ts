/**
 * What must always be so in the database, and is seen to by triggers, constraints and the two services together. A check
 * looks for what contradicts it: whatever it finds is a fault of ours, or of somebody's hand.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createLogger } from '#runtime/observability/logger.ts'
import { migrationStatus } from '#runtime/postgres/migrations.ts'
import type { DatabaseUrls } from './database.ts'
import { ROOT } from './migrate.ts'
import { withClient } from './provision.ts'
import { describeSchemas } from './schema-files.ts'

export interface Finding {
  /** What was to be so. */
  readonly check: string
  /** What is not: an id, a name. None when all is well. */
  readonly faults: readonly string[]
}

/** Each gives a row, with the text `fault`, for what is wrong. */
const STATEMENTS: Record<string, string> = {
  'doc_count is the number of documents': `
    select users_all.id || ' says ' || doc_count || ', has ' || coalesce(counted.number, 0) as fault
    from users.users_all
    left join (
      select owner_id, count(*) as number from users.documents_all where deleted_at is null group by owner_id
    ) as counted on counted.owner_id = users_all.id
    where doc_count <> coalesce(counted.number, 0)`,
  'every document has an owner': `
    select documents_all.id::text as fault from users.documents_all
    left join users.users_all on users_all.id = owner_id where users_all.id is null`,
  'every comment has a document and an author': `
    select comments_all.id::text as fault from users.comments_all
    left join users.documents_all on documents_all.id = document_id
    left join users.users_all on users_all.id = author_id
    where documents_all.id is null or users_all.id is null`,
  'every grant is of a document, for a user': `
    select document_id || ' for ' || user_id as fault from users.document_grants
    left join users.documents_all on documents_all.id = document_id
    left join users.users_all on users_all.id = user_id
    where documents_all.id is null or users_all.id is null`,
  'every account change is of a user, or of one who was erased': `
    select distinct user_id::text as fault from users.account_changes
    where not exists (select from users.users_all where users_all.id = user_id)
      and not exists (select from users.erasures where erasures.user_id = account_changes.user_id)`,
  'every user who is not closed has an account': `
    select users.id::text as fault from users.users
    left join auth.accounts on accounts.user_id = users.id and accounts.status <> 'closed'
    where accounts.user_id is null`,
  'every account that is open has a user who is': `
    select accounts.user_id::text as fault from auth.accounts
    left join users.users on users.id = accounts.user_id
    where status = 'active' and users.id is null`,
  'an account has the role and the address of its user': `
    select users.id::text as fault from users.users
    join auth.accounts on accounts.user_id = users.id and status = 'active'
    where accounts.role <> users.role or accounts.email <> users.email`,
  'every index is valid': `
    select indexrelid::regclass::text as fault from pg_index where not indisvalid`,
  'every constraint is validated': `
    select conrelid::regclass || '.' || conname as fault from pg_constraint where not convalidated`,
}

/** Changes nothing. @param urls of a database in which nobody is just being signed up or closed: that takes a moment. */
export async function examine(urls: DatabaseUrls): Promise<Finding[]> {
  return withClient(urls.adminUrl, async client => {
    const findings: Finding[] = []
    for (const [check, statement] of Object.entries(STATEMENTS)) {
      const { rows } = await client.query<{ fault: string }>(statement)
      findings.push({ check, faults: rows.map(({ fault }) => fault) })
    }
    return [...findings, await examineMigrations(urls), await examineSchemas(urls.adminUrl)]
  })
}

async function examineMigrations({ authUrl, userUrl }: DatabaseUrls): Promise<Finding> {
  const logger = createLogger({ service: 'doctor', level: 'silent' })
  const faults: string[] = []
  for (const [service, url, schema] of [
    ['auth-svc', authUrl, 'auth'],
    ['user-svc', userUrl, 'users'],
  ] as const) {
    const folder = path.join(ROOT, service, 'migrations')
    const status = await migrationStatus({ url, schema, folder, logger })
    for (const { name, state } of status) if (state !== 'applied') faults.push(`${service} ${name}: ${state}`)
  }
  return { check: 'every migration is applied as it stands', faults }
}

async function examineSchemas(adminUrl: string): Promise<Finding> {
  const faults: string[] = []
  for (const [file, made] of await describeSchemas(adminUrl)) {
    const written = await readFile(path.join(ROOT, file), 'utf8')
    if (written === made) continue
    const lines = new Set(written.split('\n'))
    const first = made.split('\n').find(line => !lines.has(line))
    faults.push(`${file}: ${first ?? 'something is missing'}`)
  }
  return { check: 'the schema is what the migrations make', faults }
}

/** Counts documents anew. @returns how many users had another number. */
export async function recountDocuments(urls: DatabaseUrls): Promise<number> {
  return withClient(urls.adminUrl, async client => {
    const { rowCount } = await client.query(`
      update users.users_all set doc_count = counted.number
      from (
        select users_all.id, count(documents_all.id) as number from users.users_all
        left join users.documents_all on owner_id = users_all.id and documents_all.deleted_at is null
        group by users_all.id
      ) as counted
      where counted.id = users_all.id and doc_count <> counted.number`)
    return rowCount ?? 0
  })
}
