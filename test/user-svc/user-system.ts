/** user-svc on a database of its own, in this process, and clients that reach it by gRPC. */
import { randomBytes, randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { Test } from 'tap'
import { AdminServiceClient } from '#proto/admin/v1/admin.ts'
import { DocumentServiceClient } from '#proto/docs/v1/docs.ts'
import { SearchServiceClient } from '#proto/search/v1/search.ts'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { ExportServiceClient } from '#proto/user/v1/export.ts'
import { type User, UserServiceClient } from '#proto/user/v1/user.ts'
import { readContract } from '#runtime/contract.ts'
import { callUnary, createClient } from '#runtime/grpc-client.ts'
import { type Database, openDatabase } from '#runtime/postgres.ts'
import { createTokenVerifier, type Role } from '#runtime/principal.ts'
import { createUserMetrics } from '../../user-svc/metrics.ts'
import { createUserServer } from '../../user-svc/server.ts'
import { SCHEMA, type Tables } from '../../user-svc/tables.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { createTokenMint, type TokenMint } from '../support/token-mint.ts'

export const logger = pino({ level: 'silent' })
export const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))

const issuer = 'https://gatehouse.test'
const audience = 'gatehouse'

export interface UserSystem {
  database: Database<Tables>
  address: string
  users: UserServiceClient
  accounts: AccountServiceClient
  docs: DocumentServiceClient
  search: SearchServiceClient
  admin: AdminServiceClient
  exports: ExportServiceClient
  mint: TokenMint
  stop(): Promise<void>
  /** A user as sign-up leaves it. */
  createUser(given?: { email?: string; name?: string; role?: Role; department?: string }): Promise<User>
  /** An access token of the user, with the role given or its own. */
  tokenOf(user: Pick<User, 'id' | 'role'>, role?: Role): string
}

export async function startUserSystem(t: Test, { poolSize = 10 } = {}): Promise<UserSystem> {
  const { userUrl: url } = await openTestDatabase(t)
  const database = openDatabase<Tables>({ url, schema: SCHEMA, logger, poolSize })
  const patientDatabase = openDatabase<Tables>({ url, schema: SCHEMA, logger, poolSize: 2, statementTimeoutMs: 28_000 })
  t.teardown(() => Promise.all([database.close(), patientDatabase.close()]))
  const mint = createTokenMint({ issuer, audience })
  const verifier = createTokenVerifier({ keys: mint.keys, issuer, audience, acceptService: true })
  const server = createUserServer({
    contract,
    logger,
    metrics: createUserMetrics(),
    verifier,
    database,
    patientDatabase,
    pageTokenSecret: randomBytes(32),
  })
  const address = `127.0.0.1:${await server.listen('127.0.0.1:0')}`
  const users = createClient(UserServiceClient, address)
  const accounts = createClient(AccountServiceClient, address)
  const docs = createClient(DocumentServiceClient, address)
  const search = createClient(SearchServiceClient, address)
  const admin = createClient(AdminServiceClient, address)
  const exports = createClient(ExportServiceClient, address)
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= server.stop()
    return stopped
  }
  t.teardown(async () => {
    users.close()
    accounts.close()
    docs.close()
    search.close()
    admin.close()
    exports.close()
    await stop()
  })

  return {
    database,
    address,
    users,
    accounts,
    docs,
    search,
    admin,
    exports,
    mint,
    stop,
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

export async function openUserDatabase(t: Test, { poolSize = 10 } = {}): Promise<Database<Tables>> {
  const { userUrl } = await openTestDatabase(t)
  const database = openDatabase<Tables>({ url: userUrl, schema: SCHEMA, logger, poolSize })
  t.teardown(() => database.close())
  return database
}
