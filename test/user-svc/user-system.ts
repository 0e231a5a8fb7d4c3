/** Starts user-svc in the test process with its own database. */
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { User } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { type Database, openDatabase } from '#runtime/postgres/database.ts'
import { SCHEMA, type Tables } from '../../user-svc/tables.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { contract, logger, serveUsers, type UserServer } from './user-server.ts'

export { contract, logger }

export interface UserSystem extends UserServer {
  /** Creates a user the way a sign-up does, then sets role and department. */
  createUser(given?: { email?: string; name?: string; role?: Role; department?: string }): Promise<User>
  /** An access token of the user. `role` replaces the user's role in the token. */
  tokenOf(user: Pick<User, 'id' | 'role'>, role?: Role): string
}

/** @param poolSize connections of the main pool. Default 10. */
export async function startUserSystem(t: Test, { poolSize = 10 } = {}): Promise<UserSystem> {
  const { userUrl: url } = await openTestDatabase(t)
  const server = await serveUsers({ url, poolSize })
  t.teardown(() => server.close())
  const { database, accounts, mint } = server

  return {
    ...server,
    async createUser({ email, name = 'Ada', role = 'user', department = '' } = {}) {
      const id = randomUUID()
      const account = { id, email: email ?? `${id}@example.com`, name, role: role === 'admin' ? role : 'user' }
      const user = await callUnary(accounts, accounts.createAccount, account, { token: mint.service() })
      if (role === user.role && department === '') return user
      await database.db.updateTable('users').set({ role, department }).where('id', '=', id).execute()
      return { ...user, role, department }
    },
    tokenOf: (user, role = user.role as Role) => mint.access({ sub: user.id, role }),
  }
}

/** Opens a migrated database as the role of user-svc, without a server. */
export async function openUserDatabase(t: Test, { poolSize = 10 } = {}): Promise<Database<Tables>> {
  const { userUrl } = await openTestDatabase(t)
  const database = openDatabase<Tables>({ url: userUrl, schema: SCHEMA, logger, poolSize })
  t.teardown(() => database.close())
  return database
}
