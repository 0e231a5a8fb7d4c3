/** The process itself: how it starts, what it does without its neighbours, how it stops. */
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

/** A stand-in for auth-svc: all that user-svc asks of it is the key set. */
async function startKeyServer(t: Test, port = 0): Promise<string> {
  const server = new Server()
  const { pem = '' } = mint.keys.current('test-key') ?? {}
  const { kty = '', crv = '', x = '' } = createPublicKey(pem).export({ format: 'jwk' })
  const key = { kid: 'test-key', kty, crv, x, use: 'sig', alg: 'EdDSA' }
  const { getJwks } = AuthServiceService
  server.addService(
    { getJwks },
    { getJwks: (_call: unknown, done: (error: null, answer: object) => void) => done(null, { keys: [key] }) },
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

/** The states that the health service tells, as they change. */
function watchHealth(health: Health): AsyncIterator<{ status: string }> {
  const call: ClientReadableStream<{ status: string }> = health['watch']?.({ service: '' })
  return call[Symbol.asyncIterator]()
}

async function healthBecomes(states: AsyncIterator<{ status: string }>, wanted: string): Promise<void> {
  for (;;) {
    const { value, done } = await states.next()
    if (done) throw new Error(`The watch of the health ended before ${wanted}`)
    if (value.status === wanted) return
  }
}

t.test('without auth-svc it is healthy, and answers UNAVAILABLE until the keys can be had', async t => {
  const { userUrl } = await openTestDatabase(t)
  const authPort = await getPort()
  const { users, health } = await startListening(t, {
    DATABASE_URL: userUrl,
    AUTH_SVC_ADDRESS: `127.0.0.1:${authPort}`,
  })
  await healthBecomes(watchHealth(health), 'SERVING')
  const getMe = () => callUnary(users, users.getMe, {}, { token: mint.access({ sub: randomUUID() }) })
  await t.rejects(getMe(), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
  await t.rejects(callUnary(users, users.getMe, {}), { code: Code.UNAUTHENTICATED }, 'no token needs no keys')

  await startKeyServer(t, authPort)
  let answer: unknown
  do answer = await getMe().catch(error => error)
  while (answer instanceof StatusError && answer.code === Code.UNAVAILABLE)
  t.match(answer, { code: Code.NOT_FOUND }, 'the token is verified now, and its user is not there')
})

t.test('without PostgreSQL it starts, is not healthy, and answers UNAVAILABLE', async t => {
  const { users, health } = await startListening(t, {
    DATABASE_URL: `postgres://user_svc:x@127.0.0.1:${await getPort()}/gatehouse`,
    AUTH_SVC_ADDRESS: await startKeyServer(t),
  })
  await healthBecomes(watchHealth(health), 'NOT_SERVING')
  const answer = callUnary(users, users.getMe, {}, { token: mint.access({}) })
  await t.rejects(answer, { code: Code.UNAVAILABLE, reason: 'unavailable' })
})

t.test('on SIGTERM it says that it stops, still serves, ends its streams, and exits with 0', async t => {
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
  const end = changes.next()

  child.signal('SIGTERM')
  await healthBecomes(states, 'NOT_SERVING')
  await t.rejects(callUnary(users, users.getMe, {}, { token: mint.access({}) }), { code: Code.NOT_FOUND })
  t.match(await end, { done: true }, 'the watch of changes ended without an error')
  t.match(await states.next(), { done: true }, 'so did that of the health')
  t.equal(await child.exited, 'exit code 0')
})

t.test('bad settings are told all at once, by name', async t => {
  const child = await startProcess(t, { USER_SVC_PORT: 'http', PAGE_TOKEN_SECRET: 'short' })
  t.equal(await child.exited, 'exit code 1')
  const output = child.lastLines.join('\n')
  for (const name of ['DATABASE_URL', 'USER_SVC_PORT', 'PAGE_TOKEN_SECRET']) t.match(output, `${name}: `)
})

t.test('a port in use is told by its number and its setting', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const { userUrl } = await openTestDatabase(t)
  const child = await startProcess(t, { DATABASE_URL: userUrl, USER_SVC_PORT: String(port) })
  t.equal(await child.exited, 'exit code 1')
  t.match(child.lastLines.join('\n'), new RegExp(`${port}.*USER_SVC_PORT`))
})
