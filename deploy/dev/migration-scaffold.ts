import { readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

const TEMPLATE = `/**
 * TODO: what the migration changes, and why in this way. The previous release uses the tables meanwhile: see
 * "Migrations" in CONTRIBUTING.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`\`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql\`\`.execute(db)
}
`

/**
 * Writes a migration with an empty `up` and `down`. Its timestamp is the current time, or one second after a later
 * migration, so that it always sorts last.
 * @returns the path of the new file.
 * @throws if the name is not kebab case.
 */
export async function scaffoldMigration(folder: string, name: string, now = new Date()): Promise<string> {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) {
    throw new Error('NAME must describe the change in kebab case: make migration NAME=add-something')
  }
  const latest = (await readdir(folder)).sort().at(-1)?.slice(0, 14) ?? ''
  const earliest = latest === '' ? 0 : parseTimestamp(latest) + 1
  const time = new Date(Math.max(Math.floor(now.getTime() / 1000), earliest) * 1000)
  const timestamp = time.toISOString().replaceAll(/\D/g, '').slice(0, 14)
  const file = path.join(folder, `${timestamp}-${name}.ts`)
  await writeFile(file, TEMPLATE, { flag: 'wx' })
  return file
}

/** @returns seconds since the epoch of a timestamp `YYYYMMDDhhmmss` in UTC. */
function parseTimestamp(timestamp: string): number {
  const iso = timestamp.replace(/(....)(..)(..)(..)(..)(..)/, '$1-$2-$3T$4:$5:$6Z')
  return Date.parse(iso) / 1000
}
