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

export type Secrets = Record<(typeof NAMES)[number], string>

/**
 * The secrets of this installation, 32 random bytes in base64 each. Made once: passwords in the database and keys in it
 * can be read with these only. One that a newer version needs is added.
 */
export async function loadSecrets(dataDir: string): Promise<Secrets> {
  const file = path.join(dataDir, 'secrets.json')
  const known: Partial<Secrets> = JSON.parse(await readFile(file, 'utf8').catch(absent))
  const missing = NAMES.filter(name => known[name] === undefined)
  if (missing.length === 0) return known as Secrets
  const made = Object.fromEntries(missing.map(name => [name, randomBytes(32).toString('base64')]))
  const secrets = { ...known, ...made } as Secrets
  await mkdir(dataDir, { recursive: true })
  // Whole or not at all: half a file would lose the old ones.
  await writeFile(`${file}.new`, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return secrets
}

function absent(error: NodeJS.ErrnoException): string {
  if (error.code !== 'ENOENT') throw error
  return '{}'
}
