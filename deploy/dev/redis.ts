/**
 * Redis by the machine's own binary, since no npm package has one: `redis-server` or `valkey-server` on the PATH, else
 * Debian's package, where that can be installed.
 */
import { mkdir } from 'node:fs/promises'
import { type Child, startChild } from './child.ts'
import { findCommand } from './debian-command.ts'
import { SetupError } from './setup-error.ts'

/**
 * Where services run, Debian's package starts one on 6379. It is not ours and does not meet ours, which has another port.
 * @param tell says what is done when that takes a while.
 * @throws with the one command to run when there is no server and none can be installed.
 */
export async function findRedisServer(tell: (text: string) => void): Promise<string> {
  const found = await findCommand({ names: ['redis-server', 'valkey-server'], package: 'redis-server', tell })
  if (found !== undefined) return found
  throw new SetupError(
    'There is no Redis: run `apt-get install redis-server` (or what your system has for it), or set REDIS_URL',
  )
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
