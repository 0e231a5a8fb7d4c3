/**
 * One PostgreSQL and one Redis for a test run, on free ports with their data in a temporary folder. It is a process of
 * its own that ends when its standard input does: so the stores go, with everything that still runs in the name of this
 * test run, however the run ends, even by `kill -9`.
 *
 * Prints one line of JSON when the stores are ready: `Stores`.
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
import { RUN_MARK, type Stores, TEMPLATE_DATABASE, urlsOf } from './stores.ts'

const started: Child[] = []
let ending: Promise<void> | undefined
const directory = await mkdtemp(path.join(tmpdir(), 'gatehouse-test-'))

// Not before the stores are up: they are ended by what is known of them.
const ready = start()
process.stdin.resume()
process.stdin.once('end', () => void ready.then(() => end()))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void ready.then(() => end()))
await ready

async function start(): Promise<void> {
  try {
    const [postgres, redis] = await allOf([openPostgres(), openRedis()])
    process.stdout.write(`${JSON.stringify({ postgres, redis, directory } satisfies Stores)}\n`)
  } catch (error) {
    console.error(error)
    await end(1)
  }
}

/** As Promise.all, but waits for the others too when one fails: nothing may start after the end. */
async function allOf<T extends readonly unknown[]>(promises: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(promises)
  return (await Promise.all(promises)) as unknown as T
}

async function openPostgres(): Promise<string> {
  const port = await getPort()
  const password = 'postgres'
  started.push(
    await startPostgres({
      dataDir: path.join(directory, 'postgres'),
      port,
      password,
      stopMode: 'immediate',
      // Nothing here must survive, so nothing waits for the disk.
      settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
    }),
  )
  const url = postgresUrl({ port, user: 'postgres', password, database: 'postgres' })
  await provision(url, TEMPLATE_DATABASE, { auth_svc: 'auth_svc', user_svc: 'user_svc' })
  await migrateAll(urlsOf(url, TEMPLATE_DATABASE))
  await withClient(url, async client => {
    await client.query('create sequence redis_databases')
    // Another run on this machine most likely begins elsewhere.
    await client.query(`create sequence ports minvalue 20000 maxvalue 31999 start ${randomInt(20000, 31999)} cycle`)
  })
  return url
}

async function openRedis(): Promise<string> {
  const port = await getPort()
  started.push(
    await startRedis({
      command: await findRedisServer(console.error),
      dir: path.join(directory, 'redis'),
      port,
      settings: {
        databases: '10000',
        appendfsync: 'no',
        // It would empty the databases of every other test file; `startTestRedis` is for those that need it.
        'rename-command': ['FLUSHALL', ''],
      },
    }),
  )
  return `redis://127.0.0.1:${port}`
}

function end(exitCode = 0): Promise<void> {
  ending ??= tidyUp(exitCode)
  return ending
}

async function tidyUp(exitCode: number): Promise<void> {
  await sweep()
  await Promise.allSettled(started.map(child => child.stop()))
  await rm(directory, { recursive: true, force: true })
  process.exit(exitCode)
}

/** Ends what a test left behind: every process that bears the mark of this run in its environment (Linux only). */
async function sweep(): Promise<void> {
  const mark = process.env[RUN_MARK]
  if (mark === undefined || process.platform !== 'linux') return
  const ours = new Set([process.pid, ...started.map(child => child.pid)])
  const pids = (await readdir('/proc')).map(Number).filter(pid => pid > 0 && !ours.has(pid))
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.split('\0').includes(`${RUN_MARK}=${mark}`)) process.kill(pid, 'SIGKILL')
  }
}
