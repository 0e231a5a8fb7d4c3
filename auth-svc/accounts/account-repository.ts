import { type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { StoredPassword } from '../passwords/password-hasher.ts'
import type { AccountStatus, Tables } from '../tables.ts'

/** A pending or active account. */
export interface Account {
  readonly userId: string
  /** Normalized (`normalizeEmail`). */
  readonly email: string
  readonly password: StoredPassword
  readonly role: Role
  readonly status: AccountStatus
  /** Name given at sign-up, for user-svc. The empty string unless the account is pending. */
  readonly signUpName: string
  /** Time since the sign-up, in milliseconds. */
  readonly ageMs: number
}

/** An account to insert, in the state pending. */
export interface NewAccount {
  /** Also the id of the user in user-svc. */
  userId: string
  /** Normalized (`normalizeEmail`). */
  email: string
  password: StoredPassword
  role: Role
  name: string
}

/**
 * Accounts in PostgreSQL: pending until user-svc has the user, then active, and deactivated (status `closed`) when
 * user-svc reports it. A deactivated account keeps its credentials, but another account may take its e-mail address.
 */
export interface AccountRepository {
  /** Finds a pending or active account by its normalized e-mail address. */
  findByEmail(email: string): Promise<Account | undefined>
  findById(userId: string): Promise<Account | undefined>
  /** Finds the pending or active account that has the e-mail address of the deactivated account `userId`. */
  findEmailHolder(userId: string): Promise<Account | undefined>
  /** User ids of the accounts that have been pending for more than `olderThanMs` milliseconds. */
  listPending(olderThanMs: number): Promise<string[]>
  /** Call it in the transaction that also adds the job (`SignUpJobs`). @returns false if the address is in use. */
  insertPending(account: NewAccount): Promise<boolean>
  /** Does nothing unless the account is pending. */
  activate(userId: string): Promise<void>
  /** Does nothing unless the account is pending. */
  deletePending(userId: string): Promise<void>
  /** Does nothing if the stored hash is not `expected`: another request has replaced it. */
  replacePassword(userId: string, expected: StoredPassword, replacement: StoredPassword): Promise<void>
  /**
   * Locks the account row until the end of the transaction: meanwhile no session starts and no token is issued. Take
   * this lock before `SessionRepository.endAll` and `RevocationRepository.insertUser`.
   */
  lock(userId: string): Promise<void>
  /** Also locks the row, as `lock` does. @returns false if the account has this role already, or does not exist. */
  changeRole(userId: string, role: Role): Promise<boolean>
  /**
   * Also locks the row. End the sessions and revoke the tokens in the same transaction.
   * @returns false if the account is deactivated already, or does not exist.
   */
  deactivate(userId: string): Promise<boolean>
  /**
   * Makes a deactivated account active.
   * @returns false if the account is not deactivated, or has no credentials: it was erased, or deactivated by a version
   *   that did not keep them.
   * @throws an error of PostgreSQL with the constraint `accounts_email` if another account has the e-mail address.
   */
  restore(userId: string, role: Role): Promise<boolean>
  /** Removes all personal data and deactivates the account. Id, role and times remain. */
  erase(userId: string): Promise<void>
}

/** @param db the database or a transaction. */
export function createAccountRepository(db: Kysely<Tables>): AccountRepository {
  const notDeactivated = db
    .selectFrom('accounts')
    .where('status', '!=', 'closed')
    .select(['user_id', 'email', 'password_hash', 'password_scheme', 'role', 'status', 'sign_up_name'])
    .select(sql<number>`(extract(epoch from now() - created_at) * 1000)::float8`.as('age_ms'))

  return {
    findByEmail: async email => toAccount(await notDeactivated.where('email', '=', email).executeTakeFirst()),
    findById: async userId => toAccount(await notDeactivated.where('user_id', '=', userId).executeTakeFirst()),
    async insertPending({ userId, email, password, role, name }) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('accounts')
        .values({
          user_id: userId,
          email,
          password_hash: password.hash,
          password_scheme: password.scheme,
          role,
          status: 'pending',
          sign_up_name: name,
        })
        .onConflict(conflict => conflict.column('email').where('status', '!=', sql.lit('closed')).doNothing())
        .executeTakeFirst()
      return numInsertedOrUpdatedRows === 1n
    },
    async activate(userId) {
      await db
        .updateTable('accounts')
        .set({ status: 'active', sign_up_name: null })
        .where('user_id', '=', userId)
        .where('status', '=', 'pending')
        .execute()
    },
    async deletePending(userId) {
      await db.deleteFrom('accounts').where('user_id', '=', userId).where('status', '=', 'pending').execute()
    },
    async listPending(olderThanMs) {
      const rows = await db
        .selectFrom('accounts')
        .select('user_id')
        .where('status', '=', 'pending')
        .where('created_at', '<', sql<Date>`now() - ${olderThanMs} * interval '1 millisecond'`)
        .execute()
      return rows.map(row => row.user_id)
    },
    async replacePassword(userId, expected, { scheme, hash }) {
      await db
        .updateTable('accounts')
        .set({ password_scheme: scheme, password_hash: hash })
        .where('user_id', '=', userId)
        .where('password_hash', '=', expected.hash)
        .execute()
    },
    async lock(userId) {
      await db.selectFrom('accounts').select('user_id').where('user_id', '=', userId).forNoKeyUpdate().execute()
    },
    async changeRole(userId, role) {
      const { numUpdatedRows } = await db
        .updateTable('accounts')
        .set({ role })
        .where('user_id', '=', userId)
        .where('role', '!=', role)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async deactivate(userId) {
      const { numUpdatedRows } = await db
        .updateTable('accounts')
        .set({ status: 'closed', sign_up_name: null, closed_at: sql`now()` })
        .where('user_id', '=', userId)
        .where('status', '!=', 'closed')
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async restore(userId, role) {
      const { numUpdatedRows } = await db
        .updateTable('accounts')
        .set({ status: 'active', role, closed_at: null })
        .where('user_id', '=', userId)
        .where('status', '=', 'closed')
        .where('email', 'is not', null)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    findEmailHolder: async userId =>
      toAccount(
        await notDeactivated
          .where('email', '=', row =>
            row
              .selectFrom('accounts as deactivated')
              .select('deactivated.email')
              .where('deactivated.user_id', '=', userId),
          )
          .where('user_id', '!=', userId)
          .executeTakeFirst(),
      ),
    async erase(userId) {
      await db
        .updateTable('accounts')
        .set({
          status: 'closed',
          email: null,
          password_hash: null,
          password_scheme: null,
          sign_up_name: null,
          closed_at: sql`coalesce(closed_at, now())`,
          erased_at: sql`now()`,
        })
        .where('user_id', '=', userId)
        .where('erased_at', 'is', null)
        .execute()
    },
  }
}

interface AccountRow {
  user_id: string
  email: string | null
  password_hash: string | null
  password_scheme: string | null
  role: Role
  status: AccountStatus
  sign_up_name: string | null
  age_ms: number
}

function toAccount(row: AccountRow | undefined): Account | undefined {
  if (row === undefined) return undefined
  // Check constraints of the table allow null only in deactivated accounts.
  const { email, password_hash: hash, password_scheme: scheme } = row
  if (email === null || hash === null || scheme === null) return undefined
  return {
    userId: row.user_id,
    email,
    password: { scheme, hash },
    role: row.role,
    status: row.status,
    signUpName: row.sign_up_name ?? '',
    ageMs: row.age_ms,
  }
}
