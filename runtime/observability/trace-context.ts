/** W3C Trace Context: the two headers, read strictly, since nothing may be believed of one that breaks the rules. */
import { createTraceState, type SpanContext, TraceFlags, type TraceState } from '@opentelemetry/api'

/** The headers that carry a trace onward, W3C Trace Context section 3. */
export function traceHeaders(spanContext: SpanContext): { traceparent: string; tracestate?: string } {
  const traceparent = traceparentOf(spanContext)
  const tracestate = spanContext.traceState?.serialize()
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01'}`
}

// version "-" trace-id "-" parent-id "-" flags; ids of zeros only and version ff are invalid (section 3.2.2). A version
// above 00 may append fields; a comma is there when the header was given twice.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[^,]*)?$/
const TRACEPARENT_LENGTH = 55

/**
 * The caller's span, as the two headers name it. Of a later version the first four fields count, and of the flags the
 * sampled one; we speak version 00.
 * @returns undefined for a traceparent that is not valid. A tracestate that is not is left out.
 */
export function parseTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): SpanContext | undefined {
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined
  if (traceparent.length > TRACEPARENT_LENGTH && traceparent.startsWith('00')) return undefined
  const carried = tracestate === undefined ? undefined : parseTracestate(tracestate)
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.charAt(54), 16) & TraceFlags.SAMPLED,
    traceState: carried === undefined ? undefined : new CarriedTraceState(carried),
    isRemote: true,
  }
}

// Trace Context Level 2, section 3.3.1: key = ( lcalpha / DIGIT ) 0*255( keychar ), value = 0*255( chr ) nblk-chr.
const MEMBER = /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MOST_MEMBERS = 32
/** What the recommendation asks all to carry (section 3.3.1.5); no client gets us to carry more. */
const LONGEST_TRACESTATE = 512
const LONG_MEMBER = 128

/**
 * @returns the list in its order, without empty members and whitespace between them. One that is too long loses whole
 * members as section 3.3.1.5 says: of those above 128 characters, then of all, the last. undefined for a list that is empty, has
 * a member that is not one, a key twice, or more than 32 members.
 */
export function parseTracestate(header: string): string | undefined {
  const members: string[] = []
  const keys = new Set<string>()
  for (const part of header.split(',')) {
    const member = withoutWhitespace(part)
    if (member === '') continue
    if (!MEMBER.test(member)) return undefined
    keys.add(member.slice(0, member.indexOf('=')))
    members.push(member)
  }
  if (members.length > MOST_MEMBERS || keys.size < members.length) return undefined
  const list = members.join(',')
  return (list.length <= LONGEST_TRACESTATE ? list : shorten(members)) || undefined
}

/** Of either side, spaces and tabs alone. A pattern for those at the end takes the square of those in the middle. */
function withoutWhitespace(text: string): string {
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
  while (kept.join(',').length > LONGEST_TRACESTATE) {
    const lastLong = kept.findLastIndex(member => member.length > LONG_MEMBER)
    kept.splice(lastLong, 1)
  }
  return kept.join(',')
}

/** A list that goes on as it came: it is taken apart only by who asks for a key, which nobody here does. */
class CarriedTraceState implements TraceState {
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
