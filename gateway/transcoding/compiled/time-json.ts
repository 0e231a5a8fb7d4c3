/** Timestamps and durations: their ranges, and their ProtoJSON text. */
import { fallBack } from './fallback.ts'

/** First second of a Timestamp since the Unix epoch: 0001-01-01T00:00:00Z. */
export const MIN_TIMESTAMP_S = -62_135_596_800
/** Last second of a Timestamp since the Unix epoch: 9999-12-31T23:59:59Z. */
export const MAX_TIMESTAMP_S = 253_402_300_799
/** Maximum seconds of a Duration, positive or negative: about 10,000 years. */
export const MAX_DURATION_S = 315_576_000_000
const MAX_NANOS = 999_999_999

const DAY_S = 86_400
const paddedNumbers = (count: number, digits: number) =>
  Array.from({ length: count }, (_, number) => `${number}`.padStart(digits, '0'))
const TWO_DIGITS = paddedNumbers(60, 2)
const THREE_DIGITS = paddedNumbers(1000, 3)
/** The text `hh:mm:` of each minute of a day. */
const MINUTES = Array.from(
  { length: 1440 },
  (_, minute) => `${TWO_DIGITS[(minute / 60) | 0]}:${TWO_DIGITS[minute % 60]}:`,
)

// Date.toISOString takes 0.2 us, and the timestamps of a response often fall on few days. So the text of a day is
// cached until another day with the same index replaces it.
const CACHED_DAYS = 64
const days = new Float64Array(CACHED_DAYS).fill(Number.NaN)
const dayTexts: string[] = Array.from({ length: CACHED_DAYS }, () => '')

/** Returns RFC 3339 in quotes. @param seconds since the Unix epoch. Falls back if the value is out of range. */
export function timestampText(seconds: number, nanos: number): string {
  if (seconds < MIN_TIMESTAMP_S || seconds > MAX_TIMESTAMP_S || nanos < 0 || nanos > MAX_NANOS) fallBack()
  const day = Math.floor(seconds / DAY_S)
  const second = seconds - day * DAY_S
  const minute = (second / 60) | 0
  const clock = (MINUTES[minute] as string) + TWO_DIGITS[second - minute * 60]
  return `${dayText(day) + clock + fraction(nanos)}Z"`
}

/** Returns an opening quote, the date and `T`. @param day since the Unix epoch. */
function dayText(day: number): string {
  const index = day & (CACHED_DAYS - 1)
  if (days[index] !== day) {
    days[index] = day
    dayTexts[index] = `"${new Date(day * DAY_S * 1000).toISOString().slice(0, 'yyyy-mm-ddT'.length)}`
  }
  return dayTexts[index] as string
}

/** Returns decimal seconds with the suffix `s`, in quotes. Falls back if the value is out of range. */
export function durationText(seconds: number, nanos: number): string {
  if (Math.abs(seconds) > MAX_DURATION_S || Math.abs(nanos) > MAX_NANOS || seconds * nanos < 0) fallBack()
  const sign = seconds < 0 || nanos < 0 ? '-' : ''
  return `"${sign}${Math.abs(seconds)}${fraction(Math.abs(nanos))}s"`
}

/** Returns a decimal point and 3, 6 or 9 digits; an empty string for 0. */
function fraction(nanos: number): string {
  if (nanos === 0) return ''
  const micros = (nanos / 1000) | 0
  const millis = (micros / 1000) | 0
  const text = `.${THREE_DIGITS[millis]}`
  if (nanos === millis * 1_000_000) return text
  const more = text + THREE_DIGITS[micros - millis * 1000]
  return nanos === micros * 1000 ? more : more + THREE_DIGITS[nanos - micros * 1000]
}
