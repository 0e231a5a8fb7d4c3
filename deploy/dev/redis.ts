/**
 * Redis by the machine's own binary, since no npm package has one: `redis-server` or `valkey-server` on the PATH, else
 * Debian's package, where that can be installed.
 */
import { mkdir } from 'node:fs/promises'
import { execa } from 'execa'
import { type Child, startChild } from './child.ts'
import { SetupError } from './setup-error.ts'

const SERVERS = ['redis-server', 'valkey-server']

/**
 * @param tell says what is done when that takes a while.
 * @throws with the one command to run when there is no server and none can be installed.
 */
export async function findRedisServer(tell: (text: string) => void): Promise<string> {
  const found = await which(SERVERS)
  if (found !== undefined) return found
  if (process.getuid?.() === 0 && (await which(['apt-get'])) !== undefined) {
    tell('No redis-server on the PATH: installing the package redis-server')
    const installed = await install()
    if (installed !== undefined) return installed
  }
  throw new SetupError(
    'There is no Redis: run `apt-get install redis-server` (or what your system has for it), or set REDIS_URL',
  )
}

async function install(): Promise<string | undefined> {
  // Where services run, the package starts one on 6379. It is not ours and does not meet ours, which has another port.
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await execa('apt-get', ['update', '-qq'], { env, stdin: 'ignore', reject: false })
  await execa('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
    env,
    stdin: 'ignore',
    reject: false,
  })
  return which(SERVERS)
}

async function which(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const { exitCode, stdout } = await execa('sh', ['-c', 'command -v "$1"', 'sh', name], { reject: false })
    if (exitCode === 0) return stdout
  }
  return undefined
}

export interface RedisOptions {
  /** Of `findRedisServer`. */
  command: string
  dir: string
  port: number
  settings?: Record<string, string | string[]>
  onLine?: (line: string) => void
}

/** Resolves when the server accepts connections. What it was told, it keeps: append-only file, no eviction. */
export async function startRedis(options: RedisOptions): Promise<Child> {
  const { command, dir, port, settings = {}, onLine } = options
  await mkdir(dir, { recursive: true })
  const all: Record<string, string | string[]> = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    appendonly: 'yes',
    'maxmemory-policy': 'noeviction',
    save: '',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value].flat())
  const server = await startChild({ name: 'redis', command, args, env: process.env, onLine })
  await server.line(/Ready to accept connections/)
  return server
}
