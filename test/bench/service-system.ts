/** Runs user-svc and auth-svc as processes, with stores of the bench, and signs users in. */
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

export interface Session {
  readonly accessToken: string
  /** The current refresh token; each refresh replaces it. */
  refreshToken: string
}

export interface ServiceSystem {
  readonly auth: Transport
  readonly users: Transport
  readonly authPid: number
  readonly userPid: number
  /** Sessions of different users. */
  readonly sessions: readonly Session[]
  /** Signs the same user in again. */
  login(): Promise<Session>
  /** URLs of the stores of auth-svc. */
  readonly stores: { readonly postgres: string; readonly redis: string }
  stop(): Promise<void>
}

export interface ServiceSystemOptions {
  sessions: number
  env?: Record<string, string>
  /** Flags of Node, such as `--cpu-prof`. */
  nodeArgs?: readonly string[]
}

const PASSWORD = 'a plain but lengthy phrase'
const CLIENT = { 'gatehouse-client-address': '203.0.113.7', 'gatehouse-client-user-agent': 'Mozilla/5.0' }
/** Timeout of calls in milliseconds. It is long, because a slow call is to be measured, not to fail. */
const TIMEOUT_MS = 60_000

/** Starts the stores and both services. Resolves when the sessions exist. */
export async function startServiceSystem(options: ServiceSystemOptions): Promise<ServiceSystem> {
  const { stores, env: runEnvironment, stop: stopStores } = await startStores()
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

  /** Starts a service. Its log goes to a file, so that the service pays for logging and this process does not. */
  async function start(name: 'auth-svc' | 'user-svc') {
    const env = { ...process.env, ...runEnvironment, ...ANY_METRICS_PORTS, ...environments[name], ...options.env }
    const { command, args } = serviceCommand(name)
    const log = await open(path.join(stores.directory, `${name}.log`), 'a')
    // A separate session (detached), because the autogroup scheduler of Linux divides CPU time between sessions first.
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

  async function signUp(email: string): Promise<Session> {
    const request = SignUpRequest.encode({ email, password: PASSWORD, name: 'Ada Lovelace', tokenDelivery: 'body' })
    return sessionOf(Tokens.decode(await call(auth, '/auth.v1.AuthService/SignUp', request.finish())))
  }

  async function login(): Promise<Session> {
    const request = LoginRequest.encode({ email: LOGIN_EMAIL, password: PASSWORD, tokenDelivery: 'body' })
    const { result } = LoginResponse.decode(await call(auth, '/auth.v1.AuthService/Login', request.finish()))
    if (result?.$case !== 'tokens') throw new Error('The response of Login contains no tokens')
    return sessionOf(result.value)
  }

  await signUp(LOGIN_EMAIL)
  const sessions: Session[] = []
  async function signUpMany(): Promise<void> {
    while (sessions.length < options.sessions) sessions.push(await signUp(`${randomUUID()}@example.com`))
  }
  await Promise.all(Array.from({ length: availableParallelism() * 2 }, signUpMany))
  return {
    auth,
    users,
    authPid: authSvc.pid,
    userPid: userSvc.pid,
    sessions,
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

const LOGIN_EMAIL = 'regular@example.com'

function transportTo(port: number): Transport {
  return createHttp2Transport({ address: `127.0.0.1:${port}`, maxMessageLength: 4 * 1024 * 1024 })
}

/** Makes a unary call with the metadata that the gateway sends. */
export function call(transport: Transport, method: string, message: Uint8Array, token?: string): Promise<Uint8Array> {
  const metadata = {
    ...CLIENT,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  return transport.unary(method, message, metadata, deadlineIn(TIMEOUT_MS))
}

function sessionOf({ accessToken, refreshToken }: Tokens): Session {
  if (refreshToken === undefined) throw new Error('The response contains no refresh token')
  return { accessToken, refreshToken }
}
