/**
 * The pepper of the stored passwords is recorded at the first start, by a check value from which it cannot be derived.
 * A start with another pepper fails, instead of each sign-in.
 */
import { createHmac } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { SettingsError } from '#runtime/process/env.ts'
import type { Tables } from '../tables.ts'

/**
 * Records the pepper, if none is recorded or no account has a password.
 * @throws SettingsError if the stored passwords have another pepper.
 */
export async function assertPepper(db: Kysely<Tables>, pepper: Uint8Array): Promise<void> {
  const derive = (purpose: string) => createHmac('sha384', pepper).update(`gatehouse pepper ${purpose}`).digest()
  const [id, check] = [derive('id').toString('hex').slice(0, 8), derive('check')]
  await sql`
    update boot_records set pepper_id = ${id}, pepper_check = ${check}
    where pepper_check is null or not exists (select from accounts where password_hash is not null)`.execute(db)
  const stored = await db.selectFrom('boot_records').select(['pepper_id', 'pepper_check']).executeTakeFirstOrThrow()
  if (stored.pepper_check?.equals(check)) return
  throw new SettingsError(
    `PASSWORD_PEPPER: has the id ${id}, but the stored passwords have the pepper with the id ${stored.pepper_id}. ` +
      'With another pepper no password matches: restore the former value',
  )
}
