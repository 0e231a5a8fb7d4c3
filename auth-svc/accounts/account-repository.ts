import { type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { StoredPassword } from '../passwords/password-hasher.ts'
import type { AccountStatus, Tables } from '../tables.ts'

/** An account that is not closed. */
export interface Account {
  readonly userId: string
  readonly email: string
  readonly password: StoredPassword
  readonly role: Role
  readonly status: AccountStatus
  /** While the account is pending. */
  readonly signUpName: string
  /** Milliseconds since the sign-up. */
  readonly ageMs: number
}

export interface NewAccount {
  userId: string
  email: string
  password: StoredPassword
  role: Role
  name: string
}

export interface AccountRepository {
  findByEmail(email: string): Promise<Account | undefined>
  findById(userId: string): Promise<Account | undefined>
  /** @returns false when another account has the address. */
  insertPending(account: NewAccount): Promise<boolean>
  /** Does nothing to an account that is not pending. */
  activate(userId: string): Promise<void>
  /** Removes an account that never became one. */
  deletePending(userId: string): Promise<void>
  /** Pending accounts whose sign-up was begun that long ago. */
  listPending(olderThanMs: number): Promise<string[]>
  /** Unless it has been changed since it was read. */
  replacePassword(userId: string, known: StoredPassword, replacement: StoredPassword): Promise<void>
  /** Until the end of the transaction no token is issued to the user. */
  lock(userId: string): Promise<void>
  /** @returns whether it was another role. */
  changeRole(userId: string, role: Role): Promise<boolean>
  /** @returns whether it was open. */
  close(userId: string): Promise<boolean>
  /** @returns whether it was closed, and kept what it signs in with. @throws on an address that is another's by now. */
  reopen(userId: string, role: Role): Promise<boolean>
  /** The open account that has the address of a closed one. */
  findSuccessor(userId: string): Promise<Account | undefined>
  /** Leaves the id only. */
  erase(userId: string): Promise<void>
}

export function createAccountRepository(db: Kysely<Tables>): AccountRepository {
  const open = db
    .selectFrom('accounts')
    .where('status', '!=', 'closed')
    .select(['user_id', 'email', 'password_hash', 'password_scheme', 'role', 'status', 'sign_up_name'])
    .select(sql<number>`(extract(epoch from now() - created_at) * 1000)::float8`.as('age_ms'))

  return {
    findByEmail: async email => toAccount(await open.where('email', '=', email).executeTakeFirst()),
    findById: async userId => toAccount(await open.where('user_id', '=', userId).executeTakeFirst()),
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
    async replacePassword(userId, known, { scheme, hash }) {
      await db
        .updateTable('accounts')
        .set({ password_scheme: scheme, password_hash: hash })
        .where('user_id', '=', userId)
        .where('password_hash', '=', known.hash)
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
    async close(userId) {
      const { numUpdatedRows } = await db
        .updateTable('accounts')
        .set({ status: 'closed', sign_up_name: null, closed_at: sql`now()` })
        .where('user_id', '=', userId)
        .where('status', '!=', 'closed')
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async reopen(userId, role) {
      const { numUpdatedRows } = await db
        .updateTable('accounts')
        .set({ status: 'active', role, closed_at: null })
        .where('user_id', '=', userId)
        .where('status', '=', 'closed')
        .where('email', 'is not', null)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    findSuccessor: async userId =>
      toAccount(
        await open
          .where('email', '=', row =>
            row.selectFrom('accounts as closed').select('closed.email').where('closed.user_id', '=', userId),
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

interface OpenAccountRow {
  user_id: string
  email: string | null
  password_hash: string | null
  password_scheme: string | null
  role: Role
  status: AccountStatus
  sign_up_name: string | null
  age_ms: number
}

function toAccount(row: OpenAccountRow | undefined): Account | undefined {
  if (row === undefined) return undefined
  // The table's checks leave these null in closed accounts only.
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
