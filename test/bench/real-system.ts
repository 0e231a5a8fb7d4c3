/** The three processes as they run, on a database of their own, and people signed in to them. */
import { randomBytes, randomUUID } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import getPort from 'get-port'
import pLimit from 'p-limit'
import { grantDatabase, withClient } from '../../deploy/dev/provision.ts'
import { composeEnvironments, type ServiceName, serviceCommand, waitForService } from '../../deploy/dev/services.ts'
import { TEMPLATE_DATABASE, urlsOf } from '../support/stores.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { writeSystemGatewayFile } from './gateway-file.ts'
import { type Cores, pin, startPinned } from './pinned.ts'
import type { ServerUnderTest } from './server-under-test.ts'
import { createSessionClient, type Person, type SessionClient } from './sessions.ts'
import type { Surroundings } from './surroundings.ts'

export interface RealSystem extends ServerUnderTest {
  readonly client: SessionClient
  /** One session each, of users of their own. */
  readonly people: readonly Person[]
  /** Address of a user who signs in over and over. */
  readonly regular: string
  /** PostgreSQL, as auth-svc reaches it. */
  readonly authUrl: string
  readonly redisUrl: string
  /** Binds the three processes to cores. They begin on all. */
  moveTo(where: Cores): void
}

const PEOPLE = 32
const REDIS_DATABASE = 3

export async function startRealSystem(around: Surroundings): Promise<RealSystem> {
  const { postgres } = around.stores.stores
  const database = `bench_${randomUUID().replaceAll('-', '')}`
  await withClient(postgres, async client => {
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE}`)
    await grantDatabase(client, database)
  })
  const { authUrl, userUrl } = urlsOf(postgres, database)
  const redisUrl = around.redisUrlOf(REDIS_DATABASE)
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
    const env = { ...around.env, ...environments[name], GATEWAY_CONFIG: config }
    const child = startPinned({ name, where: 'all', ...serviceCommand(name), env, output: logOf(name) })
    await waitForService(name, environments[name])
    return child
  }
  const [gateway, authSvc, userSvc] = await Promise.all([start('gateway'), start('auth-svc'), start('user-svc')])
  const processes = [gateway, authSvc, userSvc]

  const client = createSessionClient(origin)
  const regular = 'regular@example.com'
  await client.signUp(regular)
  // A slow machine hashes few passwords before the last of a long queue is given up.
  const limit = pLimit(4)
  const people = await Promise.all(
    Array.from({ length: PEOPLE }, () => limit(() => client.signUp(`${randomUUID()}@example.com`))),
  )
  return {
    origin,
    pids: processes.map(({ pid }) => pid),
    client,
    people,
    regular,
    authUrl,
    redisUrl,
    moveTo(where) {
      for (const { pid } of processes) pin(pid, where)
    },
    clearLogs() {
      for (const { name } of processes) truncateSync(logOf(name as ServiceName))
    },
    async stop() {
      client.close()
      for (const { stop } of processes) await stop()
    },
  }
}
