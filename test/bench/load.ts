/** A load on one server: its requests, its result and the handle of a running load. */
import type { Pausable } from './pausable.ts'

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

/** A request as it goes over the wire. */
export function rawRequest(origin: string, { method = 'GET', path, headers = {}, body = '' }: Request): string {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${new URL(origin).host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
