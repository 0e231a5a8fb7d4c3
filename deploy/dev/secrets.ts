import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

const NAMES = [
  'POSTGRES_PASSWORD',
  'AUTH_SVC_PASSWORD',
  'USER_SVC_PASSWORD',
  'PASSWORD_PEPPER',
  'REFRESH_TOKEN_SECRET',
  'SIGNING_KEY_SECRET',
  'PAGE_TOKEN_SECRET',
] as const

/** Each secret is 32 random bytes in base64. */
export type Secrets = Record<(typeof NAMES)[number], string>

/**
 * Reads `secrets.json` of a data folder. Generates the secrets that are missing: all of them at the first start, later
 * those that a newer version needs. Without these secrets the passwords and keys in the database are useless.
 */
export async function loadSecrets(dataDir: string): Promise<Secrets> {
  const file = path.join(dataDir, 'secrets.json')
  const known: Partial<Secrets> = JSON.parse(await readFile(file, 'utf8').catch(emptyIfMissing))
  const missing = NAMES.filter(name => known[name] === undefined)
  if (missing.length === 0) return known as Secrets
  const generated = Object.fromEntries(missing.map(name => [name, randomBytes(32).toString('base64')]))
  const secrets = { ...known, ...generated } as Secrets
  await mkdir(dataDir, { recursive: true })
  // Atomic, because a partly written file would lose the existing secrets.
  await writeFile(`${file}.new`, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return secrets
}

function emptyIfMissing(error: NodeJS.ErrnoException): string {
  if (error.code !== 'ENOENT') throw error
  return '{}'
}
