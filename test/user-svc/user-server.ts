/** Serves user-svc in the test process on an existing database, with gRPC clients for all its services. */
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { AdminServiceClient } from '#proto/admin/v1/admin.ts'
import { SessionServiceClient } from '#proto/auth/v1/sessions.ts'
import { DocumentServiceClient } from '#proto/docs/v1/docs.ts'
import { SearchServiceClient } from '#proto/search/v1/search.ts'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { ExportServiceClient } from '#proto/user/v1/export.ts'
import { UserServiceClient } from '#proto/user/v1/user.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { createClient } from '#runtime/grpc/client.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { createUserMetrics } from '../../user-svc/metrics.ts'
import { createUserServer } from '../../user-svc/server.ts'
import { SCHEMA, type Tables } from '../../user-svc/tables.ts'
import { createTokenMint } from '../support/token-mint.ts'
import { startAuthSvcPeer } from './auth-svc-peer.ts'

export const logger = pino({ level: 'silent' })
export const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))

const issuer = 'https://gatehouse.test'
const audience = 'gatehouse'

/** A running server, its clients and its database. */
export type UserServer = Awaited<ReturnType<typeof serveUsers>>

/**
 * @param url database URL with the role of user-svc.
 * @param poolSize see `openDatabase`.
 */
export async function serveUsers({ url, poolSize }: { url: string; poolSize?: number }) {
  const database = openDatabase<Tables>({ url, schema: SCHEMA, logger, poolSize })
  const adminDatabase = openDatabase<Tables>({ url, schema: SCHEMA, logger, poolSize: 2, statementTimeoutMs: 28_000 })
  const mint = createTokenMint({ issuer, audience })
  const verifier = createTokenVerifier({ keys: mint.keys, issuer, audience, acceptService: true })
  const authSvc = await startAuthSvcPeer(verifier)
  const sessions = createClient(SessionServiceClient, authSvc.address)
  const server = createUserServer({
    contract,
    logger,
    metrics: createUserMetrics(),
    verifier,
    database,
    adminDatabase,
    sessions,
    pageTokenSecret: randomBytes(32),
  })
  const address = `127.0.0.1:${await server.listen('127.0.0.1:0')}`
  const clients = {
    users: createClient(UserServiceClient, address),
    accounts: createClient(AccountServiceClient, address),
    docs: createClient(DocumentServiceClient, address),
    search: createClient(SearchServiceClient, address),
    admin: createClient(AdminServiceClient, address),
    exports: createClient(ExportServiceClient, address),
  }
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= server.stop()
    return stopped
  }
  return {
    ...clients,
    database,
    address,
    mint,
    authSvc,
    /** Stops the server; the database stays open. */
    stop,
    async close() {
      for (const client of Object.values(clients)) client.close()
      await stop()
      sessions.close()
      await authSvc.stop()
      await Promise.all([database.close(), adminDatabase.close()])
    },
  }
}
