/** Accounts in auth-svc for the sample users, who did not sign up. */
import { pipeline } from 'node:stream/promises'
import { hash } from '@node-rs/bcrypt'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import type { DatabaseUrls } from './database.ts'
import type { LoadStep } from './seed-load.ts'

/** Regular expression of PostgreSQL that matches the e-mail addresses of sample users. */
export const SEED_EMAIL = '[.][0-9]+@example[.]com$'

/** The password of all sample users. */
export const SEED_PASSWORD = 'all these people share one phrase'

/**
 * Creates an account for every sample user. The password hash is plain bcrypt, like one imported from another system;
 * auth-svc replaces it at the first sign-in.
 */
export async function loadAccounts(urls: DatabaseUrls, onStep: (step: LoadStep) => void): Promise<void> {
  const startedAt = performance.now()
  const secret = await hash(SEED_PASSWORD, 10)
  const users = new pg.Client({ connectionString: urls.userUrl })
  const auth = new pg.Client({ connectionString: urls.authUrl })
  await Promise.all([users.connect(), auth.connect()])
  try {
    await auth.query('set statement_timeout = 0')
    const target = auth.query(
      copyFrom(`copy auth.accounts
        (user_id, email, password_hash, password_scheme, role, status, created_at, closed_at) from stdin`),
    )
    const source = users.query(
      copyTo(`copy (
        select id, email, '${secret}', 'bcrypt', role, case when deleted_at is null then 'active' else 'closed' end,
          created_at, deleted_at
        from users.users_all where email ~ '${SEED_EMAIL}'
      ) to stdout`),
    )
    await pipeline(source, target)
    onStep({ name: 'accounts', rows: target.rowCount, seconds: (performance.now() - startedAt) / 1000 })
  } finally {
    await Promise.all([users.end(), auth.end()])
  }
}
