/**
 * The formats of a streamed response body: newline-delimited JSON (NDJSON) and server-sent events (HTML, section 9.2).
 * A stream that fails ends with an error item; a stream without one is complete.
 */
import type { Problem } from '../http/problem.ts'

export interface StreamFormat {
  readonly contentType: string
  /** @param json text without line breaks. */
  message(json: string): string
  error(problem: Problem): string
  /** Text that clients ignore, sent in an idle stream; undefined if the format has none. */
  readonly heartbeat: string | undefined
}

const NDJSON: StreamFormat = {
  contentType: 'application/x-ndjson; charset=utf-8',
  message: json => `${json}\n`,
  error: problem => `${JSON.stringify({ error: problem })}\n`,
  heartbeat: undefined,
}

const EVENT_STREAM: StreamFormat = {
  contentType: 'text/event-stream; charset=utf-8',
  message: json => `data: ${json}\n\n`,
  error: problem => `event: error\ndata: ${JSON.stringify(problem)}\n\n`,
  heartbeat: ':\n\n',
}

/** Selects an event stream if Accept names `text/event-stream`, otherwise NDJSON. Quality values are ignored. */
export function streamFormatOf(accept: string | undefined): StreamFormat {
  const types = accept?.split(',').map(range => range.split(';', 1)[0]?.trim().toLowerCase())
  return types?.includes('text/event-stream') ? EVENT_STREAM : NDJSON
}
