/**
 * Runs Redis. No npm package contains it, so the binary is `redis-server` or `valkey-server` on the PATH, or the one of
 * the Debian package, which is installed if possible.
 */
import { mkdir } from 'node:fs/promises'
import { type Child, startChild } from './child.ts'
import { findCommand } from './debian-command.ts'
import { SetupError } from './setup-error.ts'

/**
 * Finds or installs a Redis server. The Debian package may also start a server on port 6379, which is not used.
 * @returns the path of the program.
 * @throws SetupError, with the command to run, if there is none and it cannot be installed.
 */
export async function findRedisServer(log: (text: string) => void): Promise<string> {
  const found = await findCommand({ names: ['redis-server', 'valkey-server'], package: 'redis-server', log })
  if (found !== undefined) return found
  throw new SetupError(
    'Redis is not installed. Run `apt-get install redis-server` (or the equivalent on your system), or set REDIS_URL.',
  )
}

export interface RedisOptions {
  command: string
  /** Folder of the data. Created if it is missing. */
  dir: string
  /** TCP port on 127.0.0.1. */
  port: number
  /** Configuration directives; they override the defaults. */
  settings?: Record<string, string | string[]>
  onLine?: (line: string) => void
}

/** Starts a server with an append-only file and without eviction. Resolves when it accepts connections. */
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
  await server.waitForLine(/Ready to accept connections/)
  return server
}
