/** `make migration NAME=add-something SERVICE=user-svc`: a migration to fill in, the last of its service. */
import { readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { ROOT, readService } from './migrate.ts'

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

const [name = '', serviceName] = process.argv.slice(2)
if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) {
  throw new Error('NAME says what it does, in lower case: make migration NAME=add-something')
}
const folder = path.join(ROOT, readService(serviceName), 'migrations')
const last = Number((await readdir(folder)).sort().at(-1)?.slice(0, 14) ?? 0)
const now = Number(new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14))
// Later than every other, even than one from a clock that was ahead.
const file = path.join(folder, `${Math.max(now, last + 1)}-${name}.ts`)
await writeFile(file, TEMPLATE, { flag: 'wx' })
console.log(path.relative(process.cwd(), file))
