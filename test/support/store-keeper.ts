/**
 * Runs one PostgreSQL and one Redis for a test run, on free ports, with their data in a temporary folder.
 *
 * This program runs until its standard input ends. It then stops the stores and kills the remaining processes of the
 * run, so nothing is left even if the run ends by `kill -9`. When the stores are ready, it prints `Stores` as one line
 * of JSON.
 */
import { randomInt } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import getPort from 'get-port'
import type { Child } from '../../deploy/dev/child.ts'
import { migrateAll } from '../../deploy/dev/migrate.ts'
import { postgresUrl, startPostgres } from '../../deploy/dev/postgres.ts'
import { provision, withClient } from '../../deploy/dev/provision.ts'
import { findRedisServer, startRedis } from '../../deploy/dev/redis.ts'
import { RUN_ID, type Stores, TEMPLATE_DATABASE, urlsOf } from './stores.ts'

const started: Child[] = []
let ending: Promise<void> | undefined
const directory = await mkdtemp(path.join(tmpdir(), 'gatehouse-test-'))

// Only after the start has finished, because the end stops the stores that are known by then.
const ready = start()
process.stdin.resume()
process.stdin.once('end', () => void ready.then(() => end()))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void ready.then(() => end()))
await ready

async function start(): Promise<void> {
  try {
    const [postgres, redis] = await allOf([runPostgres(), runRedis()])
    process.stdout.write(`${JSON.stringify({ postgres, redis, directory } satisfies Stores)}\n`)
  } catch (error) {
    console.error(error)
    await end(1)
  }
}

/** Like Promise.all, but a rejection waits for the other promises too, so that nothing starts after the end. */
async function allOf<T extends readonly unknown[]>(promises: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(promises)
  return (await Promise.all(promises)) as unknown as T
}

async function runPostgres(): Promise<string> {
  const port = await getPort()
  const password = 'postgres'
  started.push(
    await startPostgres({
      dataDir: path.join(directory, 'postgres'),
      port,
      password,
      stopMode: 'immediate',
      // Durability is not needed: do not wait for the disk.
      settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
    }),
  )
  const url = postgresUrl({ port, user: 'postgres', password, database: 'postgres' })
  await provision(url, TEMPLATE_DATABASE, { auth_svc: 'auth_svc', user_svc: 'user_svc' })
  await migrateAll(urlsOf(url, TEMPLATE_DATABASE))
  await withClient(url, async client => {
    await client.query('create sequence redis_databases')
    // A random start makes collisions with another run on this machine unlikely.
    await client.query(`create sequence ports minvalue 20000 maxvalue 31999 start ${randomInt(20000, 31999)} cycle`)
  })
  return url
}

async function runRedis(): Promise<string> {
  const port = await getPort()
  started.push(
    await startRedis({
      command: await findRedisServer(console.error),
      dir: path.join(directory, 'redis'),
      port,
      settings: {
        databases: '10000',
        appendfsync: 'no',
        // FLUSHALL would empty the databases of other tests. Tests that need it use `startTestRedis`.
        'rename-command': ['FLUSHALL', ''],
      },
    }),
  )
  return `redis://127.0.0.1:${port}`
}

function end(exitCode = 0): Promise<void> {
  ending ??= cleanUp(exitCode)
  return ending
}

async function cleanUp(exitCode: number): Promise<void> {
  await killRemaining()
  await Promise.allSettled(started.map(child => child.stop()))
  await rm(directory, { recursive: true, force: true })
  process.exit(exitCode)
}

/** Kills every process that has the id of this run in its environment (Linux only). */
async function killRemaining(): Promise<void> {
  const runId = process.env[RUN_ID]
  if (runId === undefined || process.platform !== 'linux') return
  const ours = new Set([process.pid, ...started.map(child => child.pid)])
  const pids = (await readdir('/proc')).map(Number).filter(pid => pid > 0 && !ours.has(pid))
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.split('\0').includes(`${RUN_ID}=${runId}`)) process.kill(pid, 'SIGKILL')
  }
}
