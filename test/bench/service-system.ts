/** user-svc and auth-svc as they run, each a process of its own, with stores of their own, and people signed in to them. */
import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import getPort from 'get-port'
import { LoginRequest, LoginResponse, SignUpRequest, Tokens } from '#proto/auth/v1/auth.ts'
import { grantDatabase, withClient } from '../../deploy/dev/provision.ts'
import { ANY_METRICS_PORTS, composeEnvironments, serviceCommand, waitForService } from '../../deploy/dev/services.ts'
import { deadlineIn } from '../../gateway/upstream/deadline.ts'
import { createHttp2Transport } from '../../gateway/upstream/http2/transport.ts'
import type { Transport } from '../../gateway/upstream/transport.ts'
import { startStores, TEMPLATE_DATABASE, urlsOf } from '../support/stores.ts'

export interface SignedIn {
  readonly accessToken: string
  /** The latest: each refresh replaces it. */
  refreshToken: string
}

export interface ServiceSystem {
  readonly auth: Transport
  readonly users: Transport
  readonly authPid: number
  readonly userPid: number
  /** One session each, of users of their own. */
  readonly people: readonly SignedIn[]
  /** Of a user who may sign in any number of times. */
  login(): Promise<SignedIn>
  /** As auth-svc reaches them. */
  readonly stores: { readonly postgres: string; readonly redis: string }
  stop(): Promise<void>
}

export interface ServiceSystemOptions {
  people: number
  /** Settings of both processes. */
  env?: Record<string, string>
  /** Of the processes, such as `--cpu-prof`. */
  nodeArgs?: readonly string[]
}

const PASSWORD = 'a plain but lengthy phrase'
const CLIENT = { 'gatehouse-client-address': '203.0.113.7', 'gatehouse-client-user-agent': 'Mozilla/5.0' }
/** Far above what anything takes: a bench measures what is slow, it does not fail by it. */
const TIMEOUT_MS = 60_000

export async function startServiceSystem(options: ServiceSystemOptions): Promise<ServiceSystem> {
  const { stores, env: marks, stop: stopStores } = await startStores()
  const database = `bench_${randomUUID().replaceAll('-', '')}`
  await withClient(stores.postgres, async client => {
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE}`)
    await grantDatabase(client, database)
  })
  const ports = { gateway: 0, authSvc: await getPort(), userSvc: await getPort() }
  const { authUrl, userUrl } = urlsOf(stores.postgres, database)
  const secret = () => randomBytes(32).toString('base64')
  const environments = composeEnvironments({
    ports,
    publicUrl: 'http://127.0.0.1:3000',
    authUrl,
    userUrl,
    redisUrl: `${stores.redis}/1`,
    secrets: {
      PASSWORD_PEPPER: secret(),
      REFRESH_TOKEN_SECRET: secret(),
      SIGNING_KEY_SECRET: secret(),
      PAGE_TOKEN_SECRET: secret(),
    },
    administrator: undefined,
  })

  /** Its log goes to a file: it costs what a log costs, and this process nothing. */
  async function start(name: 'auth-svc' | 'user-svc') {
    const env = { ...process.env, ...marks, ...ANY_METRICS_PORTS, ...environments[name], ...options.env }
    const { command, args } = serviceCommand(name)
    const log = await open(path.join(stores.directory, `${name}.log`), 'a')
    // A session of its own, as under any supervisor: Linux shares the processor out by sessions first.
    const stdio = ['ignore', log.fd, log.fd] as const
    const child = spawn(command, [...(options.nodeArgs ?? []), ...args], { env, detached: true, stdio: [...stdio] })
    await waitForService(name, environments[name])
    await log.close()
    return {
      pid: child.pid as number,
      async stop() {
        child.kill('SIGTERM')
        await once(child, 'exit')
      },
    }
  }

  const [userSvc, authSvc] = await Promise.all([start('user-svc'), start('auth-svc')])
  const auth = transportTo(ports.authSvc)
  const users = transportTo(ports.userSvc)

  async function signUp(email: string): Promise<SignedIn> {
    const request = SignUpRequest.encode({ email, password: PASSWORD, name: 'Ada Lovelace', tokenDelivery: 'body' })
    return signedIn(Tokens.decode(await call(auth, '/auth.v1.AuthService/SignUp', request.finish())))
  }

  async function login(): Promise<SignedIn> {
    const request = LoginRequest.encode({ email: REGULAR, password: PASSWORD, tokenDelivery: 'body' })
    const { result } = LoginResponse.decode(await call(auth, '/auth.v1.AuthService/Login', request.finish()))
    if (result?.$case !== 'tokens') throw new Error('Login answered no tokens')
    return signedIn(result.value)
  }

  await signUp(REGULAR)
  const people: SignedIn[] = []
  async function signUpMany(): Promise<void> {
    while (people.length < options.people) people.push(await signUp(`${randomUUID()}@example.com`))
  }
  await Promise.all(Array.from({ length: availableParallelism() * 2 }, signUpMany))
  return {
    auth,
    users,
    authPid: authSvc.pid,
    userPid: userSvc.pid,
    people,
    login,
    stores: { postgres: authUrl, redis: `${stores.redis}/1` },
    async stop() {
      await Promise.all([auth.close(), users.close()])
      await authSvc.stop()
      await userSvc.stop()
      await stopStores()
    },
  }
}

const REGULAR = 'regular@example.com'

function transportTo(port: number): Transport {
  return createHttp2Transport({ address: `127.0.0.1:${port}`, maxMessageLength: 4 * 1024 * 1024 })
}

/** A call as the gateway makes it, headers included. */
export function call(transport: Transport, method: string, message: Uint8Array, token?: string): Promise<Uint8Array> {
  const metadata = {
    ...CLIENT,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  return transport.unary(method, message, metadata, deadlineIn(TIMEOUT_MS))
}

function signedIn({ accessToken, refreshToken }: Tokens): SignedIn {
  if (refreshToken === undefined) throw new Error('No refresh token in the body')
  return { accessToken, refreshToken }
}
