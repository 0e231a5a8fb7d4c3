import { once } from 'node:events'
import { createServer } from 'node:net'
import { SetupError } from './setup-error.ts'

/** @throws with every port that is in use, by the name of its setting. */
export async function assertPortsFree(ports: Record<string, number>): Promise<void> {
  const taken: string[] = []
  for (const [setting, port] of Object.entries(ports)) {
    if (!(await isFree(port))) taken.push(`Port ${port} is in use: choose another with ${setting}`)
  }
  const twice = Object.entries(ports).filter(([, port], index, all) => all.findIndex(([, p]) => p === port) !== index)
  for (const [setting, port] of twice) taken.push(`${setting}: port ${port} is given twice`)
  if (taken.length > 0) throw new SetupError(taken.join('\n'))
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true })
    await once(server, 'listening')
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  } finally {
    server.close()
  }
}
