/** Timestamps and durations as JSON text. */
import { fallBack } from './fallback.ts'

// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const FIRST_SECOND = -62_135_596_800
const LAST_SECOND = 253_402_300_799
const LAST_NANO = 999_999_999
const MAX_DURATION = 315_576_000_000

const DAY = 86_400
const numbers = (count: number, digits: number) =>
  Array.from({ length: count }, (_, number) => `${number}`.padStart(digits, '0'))
const TWO_DIGITS = numbers(60, 2)
const THREE_DIGITS = numbers(1000, 3)
const MINUTES = Array.from(
  { length: 1440 },
  (_, minute) => `${TWO_DIGITS[(minute / 60) | 0]}:${TWO_DIGITS[minute % 60]}:`,
)

// Date.toISOString takes 0.2 us, and the timestamps of an answer are often of few days: a day keeps its text until
// another takes its place.
const DAYS = 64
const days = new Float64Array(DAYS).fill(Number.NaN)
const dayTexts: string[] = Array.from({ length: DAYS }, () => '')

/** RFC 3339, in quotes. */
export function timestampText(seconds: number, nanos: number): string {
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos > LAST_NANO) fallBack()
  const day = Math.floor(seconds / DAY)
  const second = seconds - day * DAY
  const minute = (second / 60) | 0
  const clock = (MINUTES[minute] as string) + TWO_DIGITS[second - minute * 60]
  return `${dayText(day) + clock + fraction(nanos)}Z"`
}

function dayText(day: number): string {
  const place = day & (DAYS - 1)
  if (days[place] !== day) {
    days[place] = day
    dayTexts[place] = `"${new Date(day * DAY * 1000).toISOString().slice(0, 'yyyy-mm-ddT'.length)}`
  }
  return dayTexts[place] as string
}

/** Seconds with an `s`, in quotes. */
export function durationText(seconds: number, nanos: number): string {
  if (Math.abs(seconds) > MAX_DURATION || Math.abs(nanos) > LAST_NANO || seconds * nanos < 0) fallBack()
  const sign = seconds < 0 || nanos < 0 ? '-' : ''
  return `"${sign}${Math.abs(seconds)}${fraction(Math.abs(nanos))}s"`
}

/** In 0, 3, 6 or 9 digits. */
function fraction(nanos: number): string {
  if (nanos === 0) return ''
  const micros = (nanos / 1000) | 0
  const millis = (micros / 1000) | 0
  const text = `.${THREE_DIGITS[millis]}`
  if (nanos === millis * 1_000_000) return text
  const more = text + THREE_DIGITS[micros - millis * 1000]
  return nanos === micros * 1000 ? more : more + THREE_DIGITS[nanos - micros * 1000]
}
