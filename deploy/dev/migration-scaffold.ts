import { readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

const TEMPLATE = `/**
 * TODO: what this is for, and why it is done so. Writers of now meet it while it runs: see "Migrations" in CONTRIBUTING.
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
 * Writes a migration to fill in, that comes after all others, even after one from a clock that was ahead.
 * @returns its path.
 * @throws for a name that is not in kebab case.
 */
export async function scaffoldMigration(folder: string, name: string, now = new Date()): Promise<string> {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) {
    throw new Error('NAME says what it does, in lower case: make migration NAME=add-something')
  }
  const latest = (await readdir(folder)).sort().at(-1)?.slice(0, 14) ?? ''
  const earliest = latest === '' ? 0 : secondsOf(latest) + 1
  const time = new Date(Math.max(Math.floor(now.getTime() / 1000), earliest) * 1000)
  const timestamp = time.toISOString().replaceAll(/\D/g, '').slice(0, 14)
  const file = path.join(folder, `${timestamp}-${name}.ts`)
  await writeFile(file, TEMPLATE, { flag: 'wx' })
  return file
}

function secondsOf(timestamp: string): number {
  const iso = timestamp.replace(/(....)(..)(..)(..)(..)(..)/, '$1-$2-$3T$4:$5:$6Z')
  return Date.parse(iso) / 1000
}
