import { mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import getPort from 'get-port'
import type { Test } from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { findRedisServer, startRedis } from '../../deploy/dev/redis.ts'
import { runStores } from './run-stores.ts'

/**
 * Returns an empty logical database for one test. FLUSHALL is disabled on this server, because it would affect other
 * tests.
 */
export async function openTestRedis(_t: Test): Promise<{ url: string }> {
  const { postgres, redis } = await runStores()
  // PostgreSQL counts, because a test can reset counters in Redis.
  const number = await withClient(postgres, async client => {
    const { rows } = await client.query<{ number: string }>("select nextval('redis_databases') as number")
    return rows[0]?.number
  })
  return { url: `${redis}/${number}` }
}

export interface TestRedis {
  readonly url: string
  /** Sends the process a signal, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void
  /** Sends SIGKILL and resolves after the exit. */
  kill(): Promise<void>
  /** Starts the server again on the same port with its persisted data. */
  restart(): Promise<void>
}

/** Starts a Redis server for one test that kills or suspends it or uses FLUSHALL. Every write is synced to disk. */
export async function startTestRedis(t: Test): Promise<TestRedis> {
  const { directory } = await runStores()
  const dir = await mkdtemp(path.join(directory, 'redis-'))
  const port = await getPort()
  const command = await findRedisServer(text => t.comment(text))
  const open = () => startRedis({ command, dir, port, settings: { appendfsync: 'always' } })
  let server = await open()
  t.teardown(() => server.stop())
  return {
    url: `redis://127.0.0.1:${port}`,
    signal: signal => server.signal(signal),
    async kill() {
      server.signal('SIGKILL')
      await server.exited
    },
    async restart() {
      await server.stop()
      server = await open()
    },
  }
}
