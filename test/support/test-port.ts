import { once } from 'node:events'
import { createServer } from 'node:net'
import { withClient } from '../../deploy/dev/provision.ts'
import { runStores } from './run-stores.ts'

/**
 * A port that nobody listens on. Its number is known before it is used, so between the two another test could get the
 * same from the system: therefore it is drawn from a sequence of the run's database, below the range that the system
 * gives out.
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
  const listening = once(server, 'listening').then(() => new Promise<boolean>(free => server.close(() => free(true))))
  return listening.catch(() => false)
}
