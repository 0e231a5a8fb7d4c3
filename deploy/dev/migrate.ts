import path from 'node:path'
import { execaNode } from 'execa'

export const ROOT = path.resolve(import.meta.dirname, '../..')

export const SERVICES = ['auth-svc', 'user-svc'] as const
export type Service = (typeof SERVICES)[number]

/** @throws when no service of that name has a database. */
export function readService(given: string | undefined): Service {
  const service = SERVICES.find(name => name === given)
  if (service === undefined) throw new Error(`SERVICE takes one of ${SERVICES.join(', ')}, not ${given}`)
  return service
}

/**
 * Brings both schemas up to date, by each service's own program.
 * @throws with the service's log when one fails.
 */
export async function migrateAll({ authUrl, userUrl }: { authUrl: string; userUrl: string }): Promise<void> {
  await Promise.all([runMigrate('auth-svc', 'up', authUrl), runMigrate('user-svc', 'up', userUrl)])
}

/**
 * @returns what the program wrote to standard output and error.
 * @throws with that when it fails.
 */
export async function runMigrate(service: Service, command: 'up' | 'down' | 'status', url: string): Promise<string> {
  const { exitCode, all } = await execaNode(path.join(ROOT, service, 'migrate.ts'), [command], {
    env: { DATABASE_URL: url },
    all: true,
    reject: false,
    nodeOptions: [],
  })
  if (exitCode !== 0) throw new Error(`The migrations of ${service} failed:\n${all}`)
  return all
}
