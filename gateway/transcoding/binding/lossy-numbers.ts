/**
 * Finds the numbers of a JSON text that JSON.parse silently changes, because a double cannot represent them. Walks text
 * and value in parallel. A JSON.parse reviver also gets the source text of numbers, but it is called for every value:
 * parsing a large body takes seven times as long.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import { endOfNumber, endOfString } from './json-scanner.ts'

/**
 * Numbers that JSON.parse changed: the object or array that contains each, its name or index there, and its exact value
 * as decimal digits if that is an integer of at most 20 digits.
 */
export type LossyNumbers = Map<object, Map<string, string | undefined>>

/** The parent of a text that is a single number, whose name is the empty string. */
export const ROOT: object = Object.freeze({})

// Only numbers of at least 16 digits or with an exponent can change. A match inside a string costs one scan.
const MAY_CHANGE = /\d{16}|\d[eE]/

/** Adds to `lossy`. @param root the parsed text, in which no object has a duplicate name. */
export function findLossyNumbers(text: string, root: JsonValue, lossy: LossyNumbers): void {
  if (!MAY_CHANGE.test(text)) return
  /** The objects and arrays around the current position, from the outermost. */
  const holders: JsonValue[] = []
  /** The current entry of each holder: the index in an array, or the position of the name in the text. */
  const places: number[] = []
  let isNameNext = false

  const holder = () => holders.at(-1)
  const name = () => {
    const place = places.at(-1) as number
    return Array.isArray(holder())
      ? String(place)
      : (JSON.parse(text.slice(place, endOfString(text, place) + 1)) as string)
  }

  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string
    if (char === '"') {
      if (isNameNext) places[places.length - 1] = at
      isNameNext = false
      at = endOfString(text, at)
    } else if (char === '{' || char === '[') {
      holders.push(holders.length === 0 ? root : ((holder() as JsonObject)[name()] as JsonValue))
      places.push(0)
      isNameNext = char === '{'
    } else if (char === '}' || char === ']') {
      holders.pop()
      places.pop()
    } else if (char === ',') {
      isNameNext = !Array.isArray(holder())
      if (!isNameNext) places[places.length - 1] = (places.at(-1) as number) + 1
    } else if (char === '-' || (char >= '0' && char <= '9')) {
      const end = endOfNumber(text, at)
      const source = text.slice(at, end)
      if (isLossy(source)) {
        if (holders.length === 0) add(ROOT, '', source)
        else add(holder() as object, name(), source)
      }
      at = end - 1
    }
  }

  function add(parent: object, name: string, source: string): void {
    const numbers = lossy.get(parent) ?? new Map<string, string | undefined>()
    lossy.set(parent, numbers.set(name, integerDigits(source)))
  }
}

/** Whether the double differs from the decimal in a way that matters. Rounding a fraction to a fraction does not. */
function isLossy(source: string): boolean {
  const value = Number(source)
  if (!Number.isFinite(value)) return true
  if (/^-?\d+$/.test(source)) return BigInt(source) !== BigInt(value)
  // Above 2 ** 64 only float and double fields accept the number, and they round it anyway.
  return Number.isInteger(value) && Math.abs(value) <= 2 ** 64 && exactInteger(source) !== BigInt(value)
}

/** Returns the decimal digits of a number in decimal notation; undefined if it is not an integer, or too large for 64 bits. */
export function integerDigits(source: string): string | undefined {
  return Math.abs(Number(source)) <= 2 ** 64 ? exactInteger(source)?.toString() : undefined
}

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

// Zeros are counted in a loop: a regular expression for trailing zeros takes quadratic time on a number of a megabyte.
// The value is at most 2 ** 64; its digits may fill a whole body.
function exactInteger(source: string): bigint | undefined {
  const match = DECIMAL.exec(source)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', power = '0'] = match
  const digits = whole + fraction
  let end = digits.length
  while (digits[end - 1] === '0') end--
  let start = 0
  while (start < end && digits[start] === '0') start++
  if (start === end) return 0n
  const zeros = Number(power) + whole.length - end
  return zeros < 0 ? undefined : BigInt(`${sign}${digits.slice(start, end)}`) * 10n ** BigInt(zeros)
}
