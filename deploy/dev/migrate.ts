import path from 'node:path'
import { execaNode } from 'execa'

/** The folder of the repository. */
export const ROOT = path.resolve(import.meta.dirname, '../..')

/** The services that have a database schema. */
export const SERVICES = ['auth-svc', 'user-svc'] as const
export type Service = (typeof SERVICES)[number]

/** @throws if no service with a database has this name. */
export function parseService(name: string | undefined): Service {
  const service = SERVICES.find(known => known === name)
  if (service === undefined) throw new Error(`SERVICE must be one of ${SERVICES.join(', ')}, not ${name}`)
  return service
}

/** Applies the pending migrations of both services. @throws with the output of `migrate.ts` if one fails. */
export async function migrateAll({ authUrl, userUrl }: { authUrl: string; userUrl: string }): Promise<void> {
  await Promise.all([runMigrate('auth-svc', 'up', authUrl), runMigrate('user-svc', 'up', userUrl)])
}

/** Runs `migrate.ts` of a service. @returns its output. @throws with its output if the exit code is not 0. */
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
