/** The process: start, behavior without auth-svc or PostgreSQL, and shutdown. */
import { createPublicKey, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import path from 'node:path'
import { type ClientReadableStream, makeGenericClientConstructor, Server, ServerCredentials } from '@grpc/grpc-js'
import getPort from 'get-port'
import { service as healthService } from 'grpc-health-check'
import t, { type Test } from 'tap'
import { AuthServiceService } from '#proto/auth/v1/auth.ts'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { UserServiceClient } from '#proto/user/v1/user.ts'
import { callServerStream, callUnary, createClient } from '#runtime/grpc/client.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { startChild } from '../../deploy/dev/child.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { createTokenMint } from '../support/token-mint.ts'

const MAIN = path.resolve(import.meta.dirname, '../../user-svc/main.ts')
const issuer = 'https://gatehouse.test'
const mint = createTokenMint({ issuer, audience: 'gatehouse' })

async function startProcess(t: Test, settings: Record<string, string>) {
  const child = await startChild({
    name: 'user-svc',
    command: process.execPath,
    args: [MAIN],
    env: {
      TOKEN_ISSUER: issuer,
      PAGE_TOKEN_SECRET: randomBytes(32).toString('base64'),
      USER_SVC_METRICS_PORT: '0',
      ...settings,
    },
  })
  t.teardown(() => child.stop())
  return child
}

async function startListening(t: Test, settings: Record<string, string>) {
  const child = await startProcess(t, { USER_SVC_PORT: '0', ...settings })
  const { port } = JSON.parse(await child.waitForLine(/"listening"/))
  const address = `127.0.0.1:${port}`
  const clients = {
    users: createClient(UserServiceClient, address),
    accounts: createClient(AccountServiceClient, address),
    health: createClient(makeGenericClientConstructor(healthService, 'Health'), address),
  }
  t.teardown(() => {
    for (const client of Object.values(clients)) client.close()
  })
  return { child, ...clients }
}

/** A fake auth-svc that serves the key set, which is all that user-svc fetches from it. */
async function startKeyServer(t: Test, port = 0): Promise<string> {
  const server = new Server()
  const { pem = '' } = mint.keys.current('test-key') ?? {}
  const { kty = '', crv = '', x = '' } = createPublicKey(pem).export({ format: 'jwk' })
  const key = { kid: 'test-key', kty, crv, x, use: 'sig', alg: 'EdDSA' }
  const { getJwks } = AuthServiceService
  server.addService(
    { getJwks },
    { getJwks: (_call: unknown, done: (error: null, response: object) => void) => done(null, { keys: [key] }) },
  )
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  t.teardown(() => server.forceShutdown())
  return `127.0.0.1:${bound}`
}

type Health = Awaited<ReturnType<typeof startListening>>['health']

/** The stream of states of the health service. */
function watchHealth(health: Health): AsyncIterator<{ status: string }> {
  const call: ClientReadableStream<{ status: string }> = health['watch']?.({ service: '' })
  return call[Symbol.asyncIterator]()
}

async function healthBecomes(states: AsyncIterator<{ status: string }>, expected: string): Promise<void> {
  for (;;) {
    const { value, done } = await states.next()
    if (done) throw new Error(`the health stream ended before ${expected}`)
    if (value.status === expected) return
  }
}

t.test('without auth-svc, user-svc is healthy and returns UNAVAILABLE until it can fetch the key set', async t => {
  const { userUrl } = await openTestDatabase(t)
  const authPort = await getPort()
  const { users, health } = await startListening(t, {
    DATABASE_URL: userUrl,
    AUTH_SVC_ADDRESS: `127.0.0.1:${authPort}`,
  })
  await healthBecomes(watchHealth(health), 'SERVING')
  const getMe = () => callUnary(users, users.getMe, {}, { token: mint.access({ sub: randomUUID() }) })
  await t.rejects(getMe(), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
  await t.rejects(
    callUnary(users, users.getMe, {}),
    { code: Code.UNAUTHENTICATED },
    'a call without a token needs no key set',
  )

  await startKeyServer(t, authPort)
  let result: unknown
  do result = await getMe().catch(error => error)
  while (result instanceof StatusError && result.code === Code.UNAVAILABLE)
  t.match(result, { code: Code.NOT_FOUND }, 'the token is verified; its user does not exist')
})

t.test('without PostgreSQL, user-svc starts, is NOT_SERVING and returns UNAVAILABLE', async t => {
  const { users, health } = await startListening(t, {
    DATABASE_URL: `postgres://user_svc:x@127.0.0.1:${await getPort()}/gatehouse`,
    AUTH_SVC_ADDRESS: await startKeyServer(t),
  })
  await healthBecomes(watchHealth(health), 'NOT_SERVING')
  const response = callUnary(users, users.getMe, {}, { token: mint.access({}) })
  await t.rejects(response, { code: Code.UNAVAILABLE, reason: 'unavailable' })
})

t.test('on SIGTERM, user-svc becomes NOT_SERVING, finishes calls, ends its streams and exits with code 0', async t => {
  const { userUrl } = await openTestDatabase(t)
  const { child, users, accounts, health } = await startListening(t, {
    DATABASE_URL: userUrl,
    AUTH_SVC_ADDRESS: await startKeyServer(t),
  })
  const states = watchHealth(health)
  await healthBecomes(states, 'SERVING')
  const changes = callServerStream(
    accounts,
    accounts.watchAccountChanges,
    { afterSequence: 0n },
    { token: mint.service() },
  )
  const end = changes.next().catch(error => error)

  child.signal('SIGTERM')
  await healthBecomes(states, 'NOT_SERVING')
  await t.rejects(callUnary(users, users.getMe, {}, { token: mint.access({}) }), { code: Code.NOT_FOUND })
  t.match(await end, { code: Code.UNAVAILABLE }, 'a stream that the shutdown cuts does not end as if it were complete')
  t.match(await states.next(), { done: true }, 'the health stream ends without an error')
  t.equal(await child.exited, 'exit code 0')
})

t.test('all invalid settings are reported at once, by name', async t => {
  const child = await startProcess(t, { USER_SVC_PORT: 'http', PAGE_TOKEN_SECRET: 'short' })
  t.equal(await child.exited, 'exit code 1')
  const output = child.lastLines.join('\n')
  for (const name of ['DATABASE_URL', 'USER_SVC_PORT', 'PAGE_TOKEN_SECRET']) t.match(output, `${name}: `)
})

t.test('a port in use is reported with its number and its setting', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const { userUrl } = await openTestDatabase(t)
  const child = await startProcess(t, { DATABASE_URL: userUrl, USER_SVC_PORT: String(port) })
  t.equal(await child.exited, 'exit code 1')
  t.match(child.lastLines.join('\n'), new RegExp(`USER_SVC_PORT.*${port}`))
})
