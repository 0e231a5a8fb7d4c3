/** Runs PgBouncer in front of a test database, with deploy/pgbouncer/pgbouncer.ini. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import type { Test } from 'tap'
import { startChild } from '../../deploy/dev/child.ts'
import type { DatabaseUrls } from '../../deploy/dev/database.ts'
import { findCommand } from '../../deploy/dev/debian-command.ts'
import { openTestPort } from './test-port.ts'

const CONFIGURATION = path.resolve(import.meta.dirname, '../../deploy/pgbouncer/pgbouncer.ini')
const ADMINISTRATOR = 'pgbouncer_admin'

export interface PgBouncer {
  /** URLs through PgBouncer for the roles of the services. `adminUrl` connects to PostgreSQL directly. */
  readonly urls: DatabaseUrls
  /** Maximum number of server connections per role. */
  readonly poolSize: number
  /** Number of connections to PostgreSQL by role, from SHOW POOLS. */
  serverConnections(): Promise<Record<string, number>>
}

/**
 * Starts PgBouncer; it stops at the end of the test. Asserts that the pools are in transaction mode.
 * @returns undefined if PgBouncer is not installed and cannot be installed.
 */
export async function startPgBouncer(
  t: Test,
  databases: DatabaseUrls,
  poolSize: number,
): Promise<PgBouncer | undefined> {
  const command = await findCommand({ names: ['pgbouncer'], package: 'pgbouncer', log: text => t.comment(text) })
  if (command === undefined) return undefined

  const { hostname, port: databasePort, pathname } = new URL(databases.adminUrl)
  const port = await openTestPort()
  const directory = await mkdtemp(path.join(tmpdir(), 'pgbouncer-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await chmod(directory, 0o755)
  const users = path.join(directory, 'userlist.txt')
  await writeFile(users, ['auth_svc', 'user_svc', ADMINISTRATOR].map(name => `"${name}" "${name}"\n`).join(''))
  const shipped = await readFile(CONFIGURATION, 'utf8')
  const changed = shipped
    .replace(/^gatehouse = host=\S+ port=\S+/m, `${pathname.slice(1)} = host=${hostname} port=${databasePort}`)
    .replace(/^listen_addr = .*/m, 'listen_addr = 127.0.0.1')
    .replace(/^listen_port = .*/m, `listen_port = ${port}`)
    .replace(/^auth_file = .*/m, `auth_file = ${users}`)
    .replace(/^default_pool_size = .*/m, `default_pool_size = ${poolSize}`)
  const file = path.join(directory, 'pgbouncer.ini')
  await writeFile(file, `${changed}unix_socket_dir =\nadmin_users = ${ADMINISTRATOR}\n`)

  // PgBouncer refuses to run as root.
  const args = process.getuid?.() === 0 ? ['-u', 'postgres', file] : [file]
  const child = await startChild({ name: 'pgbouncer', command, args, env: process.env, stopSignal: 'SIGINT' })
  t.teardown(() => child.stop())
  await child.waitForLine(/process up/)

  const through = (url: string) => {
    const changedUrl = new URL(url)
    changedUrl.host = `127.0.0.1:${port}`
    return changedUrl.href
  }
  return {
    urls: { ...databases, authUrl: through(databases.authUrl), userUrl: through(databases.userUrl) },
    poolSize,
    async serverConnections() {
      const connectionString = `postgres://${ADMINISTRATOR}:${ADMINISTRATOR}@127.0.0.1:${port}/pgbouncer`
      const client = new pg.Client({ connectionString })
      await client.connect()
      try {
        const { rows } = await client.query('show pools')
        const pools = rows.filter(row => row.database === pathname.slice(1))
        for (const { pool_mode: mode } of pools) t.equal(mode, 'transaction')
        return Object.fromEntries(
          pools.map(row => [row.user, Number(row.sv_active) + Number(row.sv_idle) + Number(row.sv_used)]),
        )
      } finally {
        await client.end()
      }
    },
  }
}
