import { once } from 'node:events'
import { createServer } from 'node:net'
import { withClient } from '../../deploy/dev/provision.ts'
import { runStores } from './run-stores.ts'

/**
 * Returns a free TCP port on 127.0.0.1. Concurrent tests get different ports, because the numbers come from a database
 * sequence of the run, below the range of ephemeral ports.
 */
export async function openTestPort(): Promise<number> {
  const { postgres } = await runStores()
  return withClient(postgres, async client => {
    for (;;) {
      const { rows } = await client.query<{ port: string }>("select nextval('ports') as port")
      const port = Number(rows[0]?.port)
      if (await isFree(port)) return port
    }
  })
}

function isFree(port: number): Promise<boolean> {
  const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true })
  const listening = once(server, 'listening').then(
    () => new Promise<boolean>(resolve => server.close(() => resolve(true))),
  )
  return listening.catch(() => false)
}
