/**
 * The whole system on one machine: PostgreSQL, Redis, user-svc, auth-svc and the gateway, each started when what it
 * needs is ready, and ended in the opposite order.
 */
import path from 'node:path'
import { type Child, startChild } from './child.ts'
import { type DatabaseUrls, prepareDatabase, startDatabase } from './database.ts'
import { hasAdministrator } from './provision.ts'
import { findRedisServer, startRedis } from './redis.ts'
import { removeRunFile, STOP_ORDER, SUPERVISOR, writeRunFile } from './run-files.ts'
import { loadSecrets, type Secrets } from './secrets.ts'
import { composeEnvironments, type ServiceName, serviceCommand, waitForService } from './services.ts'
import type { LogFiles } from './terminal.ts'

export interface SystemOptions {
  dataDir: string
  ports: { gateway: number; authSvc: number; userSvc: number; postgres: number; redis: number }
  publicUrl: string
  /** Unset: a Redis of the system's own. */
  redisUrl: string | undefined
  /** What the processes get besides the settings that follow from the system. */
  env: NodeJS.ProcessEnv
  logs: LogFiles
  /** Asked when there is no administrator yet. */
  nameAdministrator: () => { email: string; password: string }
  tell: (text: string) => void
}

export interface Crash {
  child: Child
  /** Such as `exit code 1`. */
  how: string
}

export interface System {
  /** @throws when a part does not become ready; what runs by then is still to be stopped. */
  start(): Promise<void>
  /** Resolves with the first process that ends though nobody asked it to. */
  readonly crashed: Promise<Crash>
  stop(): Promise<void>
  /** Ends everything by force. */
  kill(): void
}

export function createSystem(options: SystemOptions): System {
  const { dataDir, ports, logs, tell } = options
  const children = new Map<string, Child>()
  const crashed = Promise.withResolvers<Crash>()
  const stopping = Promise.withResolvers<never>()
  // Watched by whoever waits for something; nobody may be.
  stopping.promise.catch(() => {})
  let isStopping = false
  let starting: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    const secrets = await loadSecrets(dataDir)
    const [redisUrl, database] = await Promise.all([openRedis(), openDatabase(secrets)])
    const environments = composeEnvironments({
      ports,
      publicUrl: options.publicUrl,
      ...database,
      redisUrl,
      secrets,
      administrator: (await hasAdministrator(database.adminUrl)) ? undefined : options.nameAdministrator(),
    })
    const env = { ...environments.gateway, POSTGRES_PORT: String(ports.postgres) }
    await writeRunFile(dataDir, { name: SUPERVISOR, pid: process.pid, env })
    for (const name of ['user-svc', 'auth-svc', 'gateway'] as const) await openService(name, environments[name])
  }

  async function openDatabase(secrets: Secrets): Promise<DatabaseUrls> {
    const port = ports.postgres
    await add(startDatabase(dataDir, { port, secrets, onLine: logs.writerFor('postgres') }))
    const urls = await prepareDatabase(port, secrets)
    tell(`postgres  is ready on 127.0.0.1:${port}, migrated`)
    return urls
  }

  /** @returns its URL. */
  async function openRedis(): Promise<string> {
    if (options.redisUrl !== undefined) return options.redisUrl
    const command = await findRedisServer(tell)
    const dir = path.join(dataDir, 'redis')
    await add(startRedis({ command, dir, port: ports.redis, onLine: logs.writerFor('redis') }))
    tell(`redis     is ready on 127.0.0.1:${ports.redis}`)
    return `redis://127.0.0.1:${ports.redis}`
  }

  async function openService(name: ServiceName, env: Record<string, string>): Promise<void> {
    const started = performance.now()
    const onLine = logs.writerFor(name)
    if (isStopping) return stopping.promise
    await add(startChild({ name, ...serviceCommand(name), env: { ...options.env, ...env }, onLine }))
    await Promise.race([waitForService(name, env), stopping.promise])
    tell(`${name.padEnd(9)} is ready after ${Math.round(performance.now() - started)} ms`)
  }

  async function add(opening: Promise<Child>): Promise<void> {
    const child = await opening
    children.set(child.name, child)
    void child.exited.then(how => {
      if (!isStopping) crashed.resolve({ child, how })
    })
    await writeRunFile(dataDir, { name: child.name, pid: child.pid })
  }

  async function stopChildren(): Promise<void> {
    for (const name of STOP_ORDER) {
      await children.get(name)?.stop()
      await removeRunFile(dataDir, name)
    }
  }

  return {
    crashed: crashed.promise,
    start() {
      starting = start()
      return starting
    },
    async stop() {
      isStopping = true
      stopping.reject(new Error('Stopped while starting'))
      await stopChildren()
      // A start that was under way fails by what it lacks now; what it still brought up goes too.
      await starting.catch(() => {})
      await stopChildren()
    },
    kill() {
      for (const child of children.values()) child.signal('SIGKILL')
    },
  }
}
