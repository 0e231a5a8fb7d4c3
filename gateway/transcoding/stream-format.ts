/**
 * How the messages of a stream stand in a body: a JSON text a line (NDJSON), or as events for a browser's EventSource
 * (HTML, section 9.2, "Server-sent events"). Either ends in an error when the call does: without one it ended well.
 */
import type { Problem } from '../http/problem.ts'

export interface StreamFormat {
  readonly contentType: string
  message(json: string): string
  error(problem: Problem): string
  /** What may stand anywhere and says nothing; undefined where nothing may. */
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
  // JSON text has no line break of its own.
  message: json => `data: ${json}\n\n`,
  error: problem => `event: error\ndata: ${JSON.stringify(problem)}\n\n`,
  heartbeat: ':\n\n',
}

/** @param accept of the request. An EventSource names its type; everybody else gets lines. */
export function streamFormatOf(accept: string | undefined): StreamFormat {
  const types = accept?.split(',').map(range => range.split(';', 1)[0]?.trim().toLowerCase())
  return types?.includes('text/event-stream') ? EVENT_STREAM : NDJSON
}
