/** Runs the three services as processes, with a database, a Redis database and ports for one test. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { parse, stringify } from 'yaml'
import type { DatabaseUrls } from '../../deploy/dev/database.ts'
import { ANY_METRICS_PORTS, composeEnvironments, type ServiceName } from '../../deploy/dev/services.ts'
import { openTestDatabase } from './test-database.ts'
import { openTestPort } from './test-port.ts'
import { startTestProcess, type TestProcess } from './test-process.ts'
import { openTestRedis } from './test-redis.ts'

export interface TestSystemOptions {
  /** Settings for all three processes. */
  env?: Record<string, string>
  /** Redis to use, such as that of `startTestRedis(t)`. Default: a logical database of the run. */
  redisUrl?: string
  /** URLs of the database to use, such as those of `startPgBouncer`. Default: a new test database. */
  databases?: DatabaseUrls
  /**
   * Uses the rate limits of gateway.yaml and of SIGN_IN_FAILURES. Default: 1,000,000 requests/s per class and as many
   * failed sign-ins, because all requests have one address.
   */
  limits?: 'as shipped'
  /** Changes the entry of each upstream in gateway.yaml. Requires the default of `limits`. */
  changeUpstream?: (entry: Record<string, unknown>) => Record<string, unknown>
}

export interface TestSystem {
  /** URL of the gateway, without a slash at the end. */
  readonly url: string
  readonly gateway: TestProcess
  readonly authSvc: TestProcess
  readonly userSvc: TestProcess
  readonly databases: DatabaseUrls
  readonly redisUrl: string
  /** `host:port` of auth-svc. */
  readonly authSvcAddress: string
  readonly administrator: { email: string; password: string }
  /** Starts an additional gateway. @param env settings that replace those of the others. */
  startGateway(env?: Record<string, string>): Promise<TestProcess & { readonly url: string }>
}

const secret = () => randomBytes(32).toString('base64')

/** Writes a copy of gateway.yaml with rate limits that no test reaches. @returns its path. */
async function writeUnlimitedConfig(t: Test, { changeUpstream = entry => entry }: TestSystemOptions): Promise<string> {
  const folder = path.resolve(import.meta.dirname, '../../gateway')
  const config = parse(await readFile(path.join(folder, 'gateway.yaml'), 'utf8'))
  for (const upstream of config.upstreams) upstream.contract = path.resolve(folder, upstream.contract)
  for (const name of Object.keys(config.limits.classes)) {
    config.limits.classes[name] = { capacity: 1_000_000, refill: '1000000 / 1s' }
  }
  config.upstreams = config.upstreams.map(changeUpstream)
  const directory = await mkdtemp(path.join(tmpdir(), 'gateway-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const file = path.join(directory, 'gateway.yaml')
  await writeFile(file, stringify(config))
  return file
}

/** Starts the system. Resolves when all three services are ready; stops them at the end of the test. */
export async function startSystem(t: Test, options: TestSystemOptions = {}): Promise<TestSystem> {
  const [databases, redisUrl] = await Promise.all([
    options.databases ?? openTestDatabase(t),
    options.redisUrl ?? openTestRedis(t).then(({ url }) => url),
  ])
  const ports = { gateway: await openTestPort(), authSvc: await openTestPort(), userSvc: await openTestPort() }
  const administrator = { email: 'root@example.com', password: 'seven brown foxes at noon' }
  const url = `http://127.0.0.1:${ports.gateway}`
  const environments = composeEnvironments({
    ports,
    publicUrl: url,
    authUrl: databases.authUrl,
    userUrl: databases.userUrl,
    redisUrl,
    secrets: {
      PASSWORD_PEPPER: secret(),
      REFRESH_TOKEN_SECRET: secret(),
      SIGNING_KEY_SECRET: secret(),
      PAGE_TOKEN_SECRET: secret(),
    },
    administrator,
  })

  const limits = options.limits === undefined && {
    GATEWAY_CONFIG: await writeUnlimitedConfig(t, options),
    SIGN_IN_FAILURES: '1000000',
  }
  const processes: TestProcess[] = []
  async function start(name: ServiceName, changes: Record<string, string> = {}): Promise<TestProcess> {
    const defaults = { LOG_LEVEL: 'info', BCRYPT_COST: '10', DRAIN_DELAY_MS: '50', ...ANY_METRICS_PORTS }
    const process = await startTestProcess(name, {
      ...defaults,
      ...environments[name],
      ...limits,
      ...options.env,
      ...changes,
    })
    processes.push(process)
    return process
  }

  t.teardown(() => Promise.all(processes.map(process => process.stop())))
  const [userSvc, authSvc, gateway] = await Promise.all([start('user-svc'), start('auth-svc'), start('gateway')])
  return {
    url,
    gateway,
    authSvc,
    userSvc,
    databases,
    redisUrl,
    authSvcAddress: `127.0.0.1:${ports.authSvc}`,
    administrator,
    async startGateway(env = {}) {
      const port = await openTestPort()
      const process = await start('gateway', { ...env, GATEWAY_PORT: String(port) })
      return Object.assign(process, { url: `http://127.0.0.1:${port}` })
    },
  }
}
