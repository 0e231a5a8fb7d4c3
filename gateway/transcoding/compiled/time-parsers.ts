/** Parses the ProtoJSON of Timestamp and Duration. Falls back if the JSON is not in the usual form. */
import type { JsonValue } from '@bufbuild/protobuf'
import { isTimestamp } from '../reference/text-formats.ts'
import { fallBack } from './fallback.ts'
import { parseString } from './scalar-encoders.ts'
import { MAX_DURATION_S, MAX_TIMESTAMP_S, MIN_TIMESTAMP_S } from './time-json.ts'

/** The fields of google.protobuf.Timestamp and Duration. */
export interface SecondsAndNanos {
  readonly seconds: number
  readonly nanos: number
}

// Groups: date and time in seconds, fraction, offset.
const TIMESTAMP = /^(.{19})(?:\.(\d+))?(.+)$/

export function parseTimestamp(json: JsonValue): SecondsAndNanos {
  const text = parseString(json)
  const [, second, fraction, offset] = (isTimestamp(text) && TIMESTAMP.exec(text)) || fallBack()
  const seconds = Date.parse(`${second}${offset}`) / 1000
  if (!(seconds >= MIN_TIMESTAMP_S && seconds <= MAX_TIMESTAMP_S)) fallBack()
  return { seconds, nanos: nanosOf(fraction) }
}

const DURATION = /^(-)?(\d{1,12})(?:\.(\d{1,9}))?s$/

export function parseDuration(json: JsonValue): SecondsAndNanos {
  const [, minus, whole, fraction] = DURATION.exec(parseString(json)) ?? fallBack()
  const seconds = Number(whole)
  if (seconds > MAX_DURATION_S) fallBack()
  const sign = minus === undefined ? 1 : -1
  return { seconds: sign * seconds, nanos: sign * nanosOf(fraction) }
}

/** Returns the number of nanoseconds, since 1970 for a Timestamp. */
export function toNanos({ seconds, nanos }: SecondsAndNanos): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanos)
}

function nanosOf(fraction: string | undefined): number {
  return fraction === undefined ? 0 : Number(fraction.padEnd(9, '0'))
}
