import { once } from 'node:events'
import { createServer } from 'node:net'
import { SetupError } from './setup-error.ts'

/**
 * @param ports by the names of their settings; 0 and undefined are nobody's.
 * @throws with every port that is in use.
 */
export async function assertPortsFree(ports: Record<string, number | undefined>): Promise<void> {
  const taken: string[] = []
  const fixed = Object.entries(ports).filter(([, port]) => port !== undefined && port !== 0) as [string, number][]
  for (const [setting, port] of fixed) {
    if (!(await isFree(port))) taken.push(`Port ${port} is in use: choose another with ${setting}`)
  }
  const twice = fixed.filter(([, port], index, all) => all.findIndex(([, p]) => p === port) !== index)
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
