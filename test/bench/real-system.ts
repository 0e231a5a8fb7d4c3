/** Runs the three services with a database of the bench, and signs users in. */
import { randomBytes, randomUUID } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import getPort from 'get-port'
import pLimit from 'p-limit'
import { grantDatabase, withClient } from '../../deploy/dev/provision.ts'
import { composeEnvironments, type ServiceName, serviceCommand, waitForService } from '../../deploy/dev/services.ts'
import { TEMPLATE_DATABASE, urlsOf } from '../support/stores.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import type { BenchEnvironment } from './environment.ts'
import { writeSystemGatewayFile } from './gateway-file.ts'
import { type Cores, pin, startPinned } from './pinned.ts'
import type { ServerUnderTest } from './server-under-test.ts'
import { createSessionClient, type Session, type SessionClient } from './sessions.ts'

export interface RealSystem extends ServerUnderTest {
  readonly client: SessionClient
  /** 32 sessions of different users. */
  readonly sessions: readonly Session[]
  /** E-mail address of the user for measurements of logins. */
  readonly loginEmail: string
  /** Database URL as the role auth_svc. */
  readonly authUrl: string
  readonly redisUrl: string
  /** Pins the three services to cores. Initially they run on all. */
  pinTo(cores: Cores): void
}

const SESSIONS = 32
const REDIS_DATABASE = 3

/** Starts the system. Resolves when all services are ready and all users are signed in. */
export async function startRealSystem(environment: BenchEnvironment): Promise<RealSystem> {
  const { postgres } = environment.stores.stores
  const database = `bench_${randomUUID().replaceAll('-', '')}`
  await withClient(postgres, async client => {
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE}`)
    await grantDatabase(client, database)
  })
  const { authUrl, userUrl } = urlsOf(postgres, database)
  const redisUrl = environment.redisUrlOf(REDIS_DATABASE)
  const ports = { gateway: await getPort(), authSvc: await getPort(), userSvc: await getPort() }
  const origin = `http://127.0.0.1:${ports.gateway}`
  const secret = () => randomBytes(32).toString('base64')
  const environments = composeEnvironments({
    ports,
    publicUrl: origin,
    authUrl,
    userUrl,
    redisUrl,
    secrets: {
      PASSWORD_PEPPER: secret(),
      REFRESH_TOKEN_SECRET: secret(),
      SIGNING_KEY_SECRET: secret(),
      PAGE_TOKEN_SECRET: secret(),
    },
    administrator: undefined,
  })
  const config = writeSystemGatewayFile('system')

  const logOf = (name: ServiceName) => path.join(BENCH_DIRECTORY, `system-${name}.log`)
  async function start(name: ServiceName) {
    writeFileSync(logOf(name), '')
    // All requests have one address; the default would verify five passwords at a time.
    const env = {
      ...environment.env,
      ...environments[name],
      GATEWAY_CONFIG: config,
      SIGN_IN_FAILURES: '1000000',
    }
    const child = startPinned({ name, cores: 'all', ...serviceCommand(name), env, output: logOf(name) })
    await waitForService(name, environments[name])
    return child
  }
  // The gateway starts last: it is ready without its upstreams, and would wait before it connects again.
  const services = await Promise.all([start('auth-svc'), start('user-svc')])
  const processes = [await start('gateway'), ...services]

  const client = createSessionClient(origin)
  const loginEmail = 'regular@example.com'
  async function stop() {
    client.close()
    for (const process of processes) await process.stop()
  }
  const sessions = await signUpAll().catch(async error => {
    await stop()
    throw error
  })

  async function signUpAll(): Promise<Session[]> {
    await client.signUp(loginEmail)
    // Limit the concurrency: on a slow machine, the last of many queued password hashes would time out.
    const limit = pLimit(4)
    return Promise.all(
      Array.from({ length: SESSIONS }, () => limit(() => client.signUp(`${randomUUID()}@example.com`))),
    )
  }

  return {
    origin,
    pids: processes.map(({ pid }) => pid),
    client,
    sessions,
    loginEmail,
    authUrl,
    redisUrl,
    pinTo(cores) {
      for (const { pid } of processes) pin(pid, cores)
    },
    clearLogs() {
      for (const { name } of processes) truncateSync(logOf(name as ServiceName))
    },
    stop,
  }
}
