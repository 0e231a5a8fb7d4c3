/**
 * Load as fast as it is answered: by wrk where it is installed, else by autocannon. wrk takes about 4 us of CPU for a
 * request and autocannon 20, and with the backend on the same core only the former keeps a gateway of 30 us busy.
 */
import { spawnSync } from 'node:child_process'
import { startAutocannon } from './autocannon.ts'
import type { Pausable } from './pausable.ts'
import { startWrk } from './wrk.ts'

export interface Request {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Load {
  /** Of the file that its requests are handed over in: no two loads at once have the same. */
  readonly name: string
  /** Without a path. */
  readonly origin: string
  /** Sent in turn, over and over. */
  readonly requests: readonly Request[]
  readonly connections: number
}

export interface LoadResult {
  /** Requests answered with a status of success. */
  readonly answered: number
  /** Answers of another status, and requests without any. */
  readonly wrong: number
  /** Answers a second: of a load that was not paused, as are the other two. */
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface RunningLoad extends Pick<Pausable, 'pause' | 'resume'> {
  /** @throws when it has failed. */
  end(): Promise<LoadResult>
}

/** When a generator ends whom nobody has ended. */
export const LONGEST_LOAD_SECONDS = 600

export const generator = spawnSync('wrk', ['-v']).error === undefined ? 'wrk' : 'autocannon'

export function startLoad(load: Load): Promise<RunningLoad> {
  return generator === 'wrk' ? startWrk(load) : startAutocannon(load)
}

/** A request as it goes over the wire. */
export function rawRequest(origin: string, { method = 'GET', path, headers = {}, body = '' }: Request): string {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${new URL(origin).host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
