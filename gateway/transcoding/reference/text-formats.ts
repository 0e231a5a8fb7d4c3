/** Text formats that a regular expression cannot check completely. */

/** Checks by the name of their JSON Schema `format`. `base64` is an addition to the formats of the standard. */
export const TEXT_FORMATS = { 'date-time': isTimestamp, base64: isBase64 }

const TIMESTAMP =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/**
 * Whether the text is a timestamp of ProtoJSON: RFC 3339 with at most nine digits of a fraction. Stricter than
 * Date.parse (which @bufbuild/protobuf uses): that accepts 24:00, and reads 02-30 as 03-02.
 */
export function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text)
  return match !== null && Number(match[3]) <= daysIn(Number(match[1]), Number(match[2]))
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

// No nested repetition: with it the engine overflows its stack on some megabytes of text.
const BASE64 = /^[\w+/-]*(={0,2})$/

/** Whether the text is base64 in the standard or the URL-safe alphabet, with complete padding or none. */
function isBase64(text: string): boolean {
  const padding = BASE64.exec(text)?.[1]
  if (padding === undefined) return false
  return padding === '' ? text.length % 4 !== 1 : text.length % 4 === 0
}
