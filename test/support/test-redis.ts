import { mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import getPort from 'get-port'
import type { Test } from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { findRedisServer, startRedis } from '../../deploy/dev/redis.ts'
import { runStores } from './run-stores.ts'

/** A logical database of this test's own, empty. FLUSHDB empties it; FLUSHALL is refused, it would reach other tests. */
export async function openTestRedis(_t: Test): Promise<{ url: string }> {
  const { postgres, redis } = await runStores()
  // Counted where no test can reset it.
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
  /** `kill -9`, and waits for the end. */
  kill(): Promise<void>
  /** Starts it again on the same port with the data that it had written. */
  restart(): Promise<void>
}

/** A Redis server of this test's own, for what must not happen to the others: kill -9, SIGSTOP, FLUSHALL. */
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
