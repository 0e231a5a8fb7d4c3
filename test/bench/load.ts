/** A load on one server: its requests, its result and the handle of a running load. */
import type { Pausable } from './pausable.ts'

/** An HTTP request. The default method is GET. */
export interface Request {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Load {
  /** Name of the file that passes the requests to the generator. Unique among concurrent loads. */
  readonly name: string
  /** Scheme, host and port of the server. */
  readonly origin: string
  /** Sent in turn, repeatedly. */
  readonly requests: readonly Request[]
  readonly connections: number
}

export interface LoadResult {
  /** Number of 2xx responses. */
  readonly succeeded: number
  /** Number of other responses and of requests without a response. */
  readonly failed: number
  /** Responses per second. This and the percentiles are valid only for a load that was not paused. */
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface RunningLoad extends Pick<Pausable, 'pause' | 'resume'> {
  /** Ends the load. @throws if the generator failed. */
  end(): Promise<LoadResult>
}

/** Maximum duration of a load, in seconds. A generator exits after it if it is not ended before. */
export const MAX_LOAD_SECONDS = 600

/** Returns the HTTP/1.1 bytes of a request. */
export function rawRequest(origin: string, { method = 'GET', path, headers = {}, body = '' }: Request): string {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${new URL(origin).host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
