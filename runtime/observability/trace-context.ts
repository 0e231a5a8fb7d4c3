/** The headers `traceparent` and `tracestate` of W3C Trace Context Level 2. Invalid headers are ignored. */
import { createTraceState, type SpanContext, TraceFlags, type TraceState } from '@opentelemetry/api'

/** Returns the headers that propagate a trace (section 3). */
export function traceHeaders(spanContext: SpanContext): { traceparent: string; tracestate?: string } {
  const traceparent = formatTraceparent(spanContext)
  const tracestate = spanContext.traceState?.serialize()
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

/** The flag that says that at least 7 octets of the trace id are random (section 3.2.2.5.2). */
export const RANDOM_TRACE_ID = 2
const KNOWN_FLAGS = TraceFlags.SAMPLED | RANDOM_TRACE_ID

/** Formats a `traceparent` header of version 00 (section 3.2). */
export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & KNOWN_FLAGS}`
}

/** Whether the span is recorded; false for undefined. */
export function isSampled(spanContext: SpanContext | undefined): spanContext is SpanContext {
  return spanContext !== undefined && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0
}

// version "-" trace-id "-" parent-id "-" flags. All-zero ids and version ff are invalid (section 3.2.2). Versions above
// 00 may append fields. A comma separates two headers, which is invalid.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[^,]*)?$/
const TRACEPARENT_LENGTH = 55

/**
 * Parses the two headers into the ids of the parent span. Of later versions the first four fields are used, of the
 * flags the sampled and the random flag.
 * @returns undefined if `traceparent` is absent or invalid. An invalid `tracestate` is ignored.
 */
export function parseTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): SpanContext | undefined {
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined
  if (traceparent.length > TRACEPARENT_LENGTH && traceparent.startsWith('00')) return undefined
  const list = tracestate === undefined ? undefined : parseTracestate(tracestate)
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.charAt(54), 16) & KNOWN_FLAGS,
    traceState: list === undefined ? undefined : new UnparsedTraceState(list),
    isRemote: true,
  }
}

// Section 3.3.1: key = ( lcalpha / DIGIT ) 0*255( keychar ), value = 0*255( chr ) nblk-chr.
const MEMBER = /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MAX_MEMBERS = 32
// The length that every implementation should propagate (section 3.3.1.5), and the maximum that this one does.
const MAX_LENGTH = 512
const LONG_MEMBER_LENGTH = 128

/**
 * Normalises a `tracestate` header: removes empty members and whitespace, keeps the order. If the list is longer than
 * 512 characters, whole members are removed (section 3.3.1.5): first those above 128 characters, then others, from the
 * end. Of members with the same key the first is kept: it is the latest.
 * @returns undefined if the list is empty, has an invalid member or more than 32 members.
 */
export function parseTracestate(header: string): string | undefined {
  const members: string[] = []
  const keys = new Set<string>()
  let count = 0
  for (const part of header.split(',')) {
    const member = trimWhitespace(part)
    if (member === '') continue
    if (!MEMBER.test(member)) return undefined
    // Duplicates count as well, so that the loop ends early for a long list.
    if (++count > MAX_MEMBERS) return undefined
    const key = member.slice(0, member.indexOf('='))
    if (!keys.has(key)) members.push(member)
    keys.add(key)
  }
  const list = members.join(',')
  return (list.length <= MAX_LENGTH ? list : shorten(members)) || undefined
}

/** Trims spaces and tabs. A regular expression takes quadratic time for whitespace in the middle. */
function trimWhitespace(text: string): string {
  let [start, end] = [0, text.length]
  while (isWhitespace(text[start])) start++
  while (end > start && isWhitespace(text[end - 1])) end--
  return text.slice(start, end)
}

function isWhitespace(char: string | undefined): boolean {
  return char === ' ' || char === '\t'
}

function shorten(members: readonly string[]): string {
  const kept = [...members]
  while (kept.join(',').length > MAX_LENGTH) {
    const lastLong = kept.findLastIndex(member => member.length > LONG_MEMBER_LENGTH)
    kept.splice(lastLong, 1)
  }
  return kept.join(',')
}

/** A list that is propagated as text. It is parsed only by the key operations, which this code does not use. */
class UnparsedTraceState implements TraceState {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  serialize(): string {
    return this.#text
  }

  get(key: string): string | undefined {
    return createTraceState(this.#text).get(key)
  }

  set(key: string, value: string): TraceState {
    return createTraceState(this.#text).set(key, value)
  }

  unset(key: string): TraceState {
    return createTraceState(this.#text).unset(key)
  }
}
