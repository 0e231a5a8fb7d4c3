/**
 * Invariants of the database that triggers and the two services maintain together. Foreign keys and check constraints
 * need no test here, because PostgreSQL enforces them. A problem means a defect of Gatehouse or a manual change.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createLogger } from '#runtime/observability/logger.ts'
import { migrationStatus } from '#runtime/postgres/migrations.ts'
import type { DatabaseUrls } from './database.ts'
import { ROOT } from './migrate.ts'
import { withClient } from './provision.ts'
import { describeSchemas } from './schema-files.ts'

export interface CheckResult {
  /** The invariant, as a sentence. */
  readonly check: string
  /** Each violation of it, with the id or name of the row or object. Empty if the invariant holds. */
  readonly problems: readonly string[]
}

/** Queries by invariant. Each returns one row with a text column `problem` per violation. */
const QUERIES: Record<string, string> = {
  'doc_count of a user equals the number of their documents': `
    select users_all.id || ': doc_count ' || doc_count || ', documents ' || coalesce(counted.number, 0) as problem
    from users.users_all
    left join (
      select owner_id, count(*) as number from users.documents_all where deleted_at is null group by owner_id
    ) as counted on counted.owner_id = users_all.id
    where doc_count <> coalesce(counted.number, 0)`,
  'every account change refers to a user or an erased user': `
    select distinct user_id::text as problem from users.account_changes
    where not exists (select from users.users_all where users_all.id = user_id)
      and not exists (select from users.erasures where erasures.user_id = account_changes.user_id)`,
  'every active user has an account': `
    select users.id::text as problem from users.users
    left join auth.accounts on accounts.user_id = users.id and accounts.status <> 'closed'
    where accounts.user_id is null`,
  'every active account has a user': `
    select accounts.user_id::text as problem from auth.accounts
    left join users.users on users.id = accounts.user_id
    where status = 'active' and users.id is null`,
  'an account has the role and the e-mail address of its user': `
    select users.id::text as problem from users.users
    join auth.accounts on accounts.user_id = users.id and status = 'active'
    where accounts.role <> users.role or accounts.email <> users.email`,
  'no account change is set aside': `
    select 'user ' || user_id || ', change ' || sequence || ', attempts ' || attempts || ': ' || error as problem
    from auth.failed_account_changes order by sequence`,
  'no row past retention is set aside': `
    select kind || ' ' || id || ', attempts ' || attempts || ': ' || error as problem
    from users.retention_failures where attempts >= 5 order by failed_at`,
  'every index is valid': `
    select indexrelid::regclass::text as problem from pg_index where not indisvalid`,
  'every constraint is validated': `
    select conrelid::regclass || '.' || conname as problem from pg_constraint where not convalidated`,
}

/** Checks every invariant. Can report a sign-up or deactivation in progress, because the services commit in turn. */
export async function runChecks(urls: DatabaseUrls): Promise<CheckResult[]> {
  return withClient(urls.adminUrl, async client => {
    const results: CheckResult[] = []
    for (const [check, query] of Object.entries(QUERIES)) {
      const { rows } = await client.query<{ problem: string }>(query)
      results.push({ check, problems: rows.map(({ problem }) => problem) })
    }
    return [...results, await checkMigrations(urls), await checkSchemas(urls.adminUrl)]
  })
}

async function checkMigrations({ authUrl, userUrl }: DatabaseUrls): Promise<CheckResult> {
  const logger = createLogger({ service: 'doctor', level: 'silent' })
  const problems: string[] = []
  for (const [service, url, schema] of [
    ['auth-svc', authUrl, 'auth'],
    ['user-svc', userUrl, 'users'],
  ] as const) {
    const folder = path.join(ROOT, service, 'migrations')
    const status = await migrationStatus({ url, schema, folder, logger })
    for (const { name, state } of status) if (state !== 'applied') problems.push(`${service} ${name}: ${state}`)
  }
  return { check: 'every migration is applied and unchanged', problems }
}

async function checkSchemas(adminUrl: string): Promise<CheckResult> {
  const problems: string[] = []
  for (const [file, actual] of await describeSchemas(adminUrl)) {
    const expected = await readFile(path.join(ROOT, file), 'utf8')
    if (expected === actual) continue
    const lines = new Set(expected.split('\n'))
    const first = actual.split('\n').find(line => !lines.has(line))
    problems.push(`${file}: ${first ?? 'lines are missing'}`)
  }
  return { check: 'the schema equals the one that the migrations create', problems }
}

/** Corrects `doc_count` of every user. @returns the number of users whose count was wrong. */
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
