import path from 'node:path'
import { execaNode } from 'execa'

export const ROOT = path.resolve(import.meta.dirname, '../..')

/**
 * Brings both schemas up to date, by each service's own program.
 * @throws with the service's log when one fails.
 */
export async function migrateAll(urls: { authUrl: string; userUrl: string }): Promise<void> {
  await Promise.all([migrateService('auth-svc', urls.authUrl), migrateService('user-svc', urls.userUrl)])
}

async function migrateService(service: string, url: string): Promise<void> {
  const { exitCode, all } = await execaNode(path.join(ROOT, service, 'migrate.ts'), {
    env: { DATABASE_URL: url },
    all: true,
    reject: false,
    nodeOptions: [],
  })
  if (exitCode !== 0) throw new Error(`The migrations of ${service} failed:\n${all}`)
}
