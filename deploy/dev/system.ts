/**
 * Runs the whole system on one machine: PostgreSQL, Redis, user-svc, auth-svc and the gateway. Each process starts when
 * the ones it depends on are ready; they stop in the opposite order.
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
  /** URL at which clients reach the gateway. */
  publicUrl: string
  /** Redis to use; undefined: the system runs one. */
  redisUrl: string | undefined
  /** Environment of the services. Settings that follow from the system override it. */
  env: NodeJS.ProcessEnv
  logs: LogFiles
  /** Called if there is no administrator yet; returns the one to create. */
  chooseAdministrator: () => { email: string; password: string }
  log: (text: string) => void
}

/** An exit that `stop` did not request. */
export interface Crash {
  child: Child
  /** `exit code 1` or the name of the signal. */
  reason: string
}

export interface System {
  /** Resolves when all processes are ready. If one fails to start, rejects; the others run until `stop`. */
  start(): Promise<void>
  /** Resolves with the first process that exits unexpectedly. */
  readonly crashed: Promise<Crash>
  /** Stops all processes in sequence. A pending `start` rejects. */
  stop(): Promise<void>
  kill(): void
}

export function createSystem(options: SystemOptions): System {
  const { dataDir, ports, logs, log } = options
  const children = new Map<string, Child>()
  const crashed = Promise.withResolvers<Crash>()
  const stopping = Promise.withResolvers<never>()
  // Avoids an unhandled rejection if no start is pending.
  stopping.promise.catch(() => {})
  let isStopping = false
  let starting: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    const secrets = await loadSecrets(dataDir)
    const [redisUrl, database] = await Promise.all([runRedis(), runDatabase(secrets)])
    const environments = composeEnvironments({
      ports,
      publicUrl: options.publicUrl,
      ...database,
      redisUrl,
      secrets,
      administrator: (await hasAdministrator(database.adminUrl)) ? undefined : options.chooseAdministrator(),
    })
    const env = { ...environments.gateway, POSTGRES_PORT: String(ports.postgres) }
    await writeRunFile(dataDir, { name: SUPERVISOR, pid: process.pid, env })
    for (const name of ['user-svc', 'auth-svc', 'gateway'] as const) await runService(name, environments[name])
  }

  async function runDatabase(secrets: Secrets): Promise<DatabaseUrls> {
    const port = ports.postgres
    await add(startDatabase(dataDir, { port, secrets, onLine: logs.writerFor('postgres') }))
    const urls = await prepareDatabase(port, secrets)
    log(`postgres  is ready on 127.0.0.1:${port}; migrations applied`)
    return urls
  }

  async function runRedis(): Promise<string> {
    if (options.redisUrl !== undefined) return options.redisUrl
    const command = await findRedisServer(log)
    const dir = path.join(dataDir, 'redis')
    await add(startRedis({ command, dir, port: ports.redis, onLine: logs.writerFor('redis') }))
    log(`redis     is ready on 127.0.0.1:${ports.redis}`)
    return `redis://127.0.0.1:${ports.redis}`
  }

  async function runService(name: ServiceName, env: Record<string, string>): Promise<void> {
    const started = performance.now()
    const onLine = logs.writerFor(name)
    if (isStopping) return stopping.promise
    await add(startChild({ name, ...serviceCommand(name), env: { ...options.env, ...env }, onLine }))
    await Promise.race([waitForService(name, env), stopping.promise])
    log(`${name.padEnd(9)} is ready after ${Math.round(performance.now() - started)} ms`)
  }

  async function add(starting: Promise<Child>): Promise<void> {
    const child = await starting
    children.set(child.name, child)
    void child.exited.then(reason => {
      if (!isStopping) crashed.resolve({ child, reason })
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
      stopping.reject(new Error('Stopped during the start'))
      await stopChildren()
      // A pending start fails because its dependencies have stopped. It may have started one more process by then.
      await starting.catch(() => {})
      await stopChildren()
    },
    kill() {
      for (const child of children.values()) child.signal('SIGKILL')
    },
  }
}
