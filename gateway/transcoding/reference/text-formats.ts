/** Texts whose form no pattern can tell: by the names of JSON Schema's formats, where it has one. */

export const TEXT_FORMATS = { 'date-time': isTimestamp, base64: isBase64 }

const TIMESTAMP =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** RFC 3339 as ProtoJSON has it. Date.parse, and with it @bufbuild/protobuf, takes 02-30 for 03-02, and 24:00 too. */
export function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text)
  return match !== null && Number(match[3]) <= daysOf(Number(match[1]), Number(match[2]))
}

function daysOf(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

// No repetition in another, by which the engine runs out of stack on some megabytes of text.
const BASE64 = /^[\w+/-]*(={0,2})$/

/** In either alphabet, padded or not. */
function isBase64(text: string): boolean {
  const padding = BASE64.exec(text)?.[1]
  if (padding === undefined) return false
  return padding === '' ? text.length % 4 !== 1 : text.length % 4 === 0
}
