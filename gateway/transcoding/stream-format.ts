/**
 * The formats of a streamed response body: newline-delimited JSON (NDJSON) and server-sent events (HTML, section 9.2).
 * A stream that fails ends with an error item; a stream without one is complete.
 */
import { responseFields } from '../contract/edge-fields.ts'
import { messageKind } from '../contract/json-schema.ts'
import type { Route } from '../contract/route-table.ts'
import type { Problem } from '../http/problem.ts'

export interface StreamFormat {
  readonly contentType: string
  /** @param json text without line breaks. */
  message(json: string): string
  /** @param name of the member with the problem document, in a format that has no other mark of an error. */
  error(problem: Problem, name: string): string
  /** Text that clients ignore, sent in an idle stream; undefined if the format has none. */
  readonly heartbeat: string | undefined
}

const NDJSON_TYPE = 'application/x-ndjson'
const EVENT_STREAM_TYPE = 'text/event-stream'

const NDJSON: StreamFormat = {
  contentType: `${NDJSON_TYPE}; charset=utf-8`,
  message: json => `${json}\n`,
  error: (problem, name) => `${JSON.stringify({ [name]: problem })}\n`,
  heartbeat: undefined,
}

const EVENT_STREAM: StreamFormat = {
  contentType: `${EVENT_STREAM_TYPE}; charset=utf-8`,
  message: json => `data: ${json}\n\n`,
  error: problem => `event: error\ndata: ${JSON.stringify(problem)}\n\n`,
  heartbeat: ':\n\n',
}

/**
 * Returns the name of the member that marks the error of a stream: `error`, with as many `@` in front as a field name of
 * the messages requires. Messages of any content, such as a Struct, have one.
 */
export function errorNameOf({ descriptor, responseField }: Pick<Route, 'descriptor' | 'responseField'>): string {
  const message = responseField === undefined ? descriptor.output : responseField.message
  const isOpen = responseField?.fieldKind === 'map' || OPEN_KINDS.has(message && messageKind(message))
  const names = new Set(message && responseFields(message).map(({ jsonName }) => jsonName))
  let name = isOpen ? '@error' : 'error'
  while (names.has(name)) name = `@${name}`
  return name
}

const OPEN_KINDS: ReadonlySet<string | undefined> = new Set(['struct', 'value', 'any'])

/**
 * Selects the format by Accept (RFC 9110 section 12.5.1). An event stream must have the higher quality, or be named with
 * the same one: clients that accept everything get NDJSON, as do those that accept neither.
 */
export function streamFormatOf(accept: string | undefined): StreamFormat {
  if (accept === undefined) return NDJSON
  const ranges = accept.split(',').map(parseRange)
  const qualityOf = (type: string) =>
    [type, type.replace(/\/.*/, '/*'), '*/*'].flatMap(name => ranges.find(range => range.name === name) ?? [])[0]
      ?.quality ?? 0
  const events = qualityOf(EVENT_STREAM_TYPE)
  const lines = qualityOf(NDJSON_TYPE)
  const isNamed = ranges.some(({ name }) => name === EVENT_STREAM_TYPE)
  return events > lines || (isNamed && events === lines && events > 0) ? EVENT_STREAM : NDJSON
}

function parseRange(range: string): { name: string; quality: number } {
  const [name = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
  const weight = parameters.find(parameter => /^q\s*=/.test(parameter))
  const quality = weight === undefined ? 1 : Number(weight.slice(weight.indexOf('=') + 1))
  return { name, quality: Number.isNaN(quality) ? 1 : quality }
}
