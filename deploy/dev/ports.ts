import { once } from 'node:events'
import { createServer } from 'node:net'
import { SetupError } from './setup-error.ts'

/**
 * @param ports by the name of their setting; 0 (any free port) and undefined are ignored.
 * @throws SetupError with one line per port that is in use on 127.0.0.1 or given twice.
 */
export async function assertPortsFree(ports: Record<string, number | undefined>): Promise<void> {
  const problems: string[] = []
  const fixed = Object.entries(ports).filter(([, port]) => port !== undefined && port !== 0) as [string, number][]
  for (const [setting, port] of fixed) {
    if (!(await isFree(port)))
      problems.push(`${setting}: port ${port} is in use. Choose another one with ${setting}=PORT.`)
  }
  const repeated = fixed.filter(([, port], index, all) => all.findIndex(([, p]) => p === port) !== index)
  for (const [setting, port] of repeated) problems.push(`${setting}: port ${port} is used by another setting too.`)
  if (problems.length > 0) throw new SetupError(problems.join('\n'))
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
