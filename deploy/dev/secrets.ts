import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { SetupError } from './setup-error.ts'

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
 * @throws SetupError if the file is lost while the database exists, or is not JSON.
 */
export async function loadSecrets(dataDir: string): Promise<Secrets> {
  const file = path.join(dataDir, 'secrets.json')
  const known = parse(file, await readFile(file, 'utf8').catch(error => emptyIfMissing(error, dataDir)))
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

function parse(file: string, text: string): Partial<Secrets> {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new SetupError(`${file} is not valid JSON: ${(error as Error).message}. ${RESTORE}`)
  }
}

/** @throws SetupError if the folder has a database, which was created with other secrets. */
function emptyIfMissing(error: NodeJS.ErrnoException, dataDir: string): string {
  if (error.code !== 'ENOENT') throw error
  if (!existsSync(path.join(dataDir, 'postgres'))) return '{}'
  throw new SetupError(`${path.join(dataDir, 'secrets.json')} is missing, but the folder has a database. ${RESTORE}`)
}

const RESTORE = 'Restore the file from a backup, or delete all data with `make reset`.'
