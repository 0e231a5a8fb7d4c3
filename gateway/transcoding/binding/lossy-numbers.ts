/**
 * The numbers of a JSON text that JSON.parse changes without a word, as a double does not hold them. They are found by
 * walking through text and value alike: a reviver tells the source of a number too, and is called for each value of a
 * large body for the sake of one, at seven times the cost of parsing it.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import { endOfNumber, endOfString } from './json-scanner.ts'

/** Numbers that JSON.parse has changed, by the objects and arrays they stand in and their names there. */
export type LossyNumbers = Map<object, Set<string>>

// What a double may not hold: 16 digits or more, or an exponent. In a string it costs a second look and nothing else.
const MAY_CHANGE = /\d{16}|\d[eE]/

/** @param root what the text parses to, in which no object has a name twice. */
export function findLossyNumbers(text: string, root: JsonValue, changed: LossyNumbers): void {
  if (!MAY_CHANGE.test(text)) return
  const holders: JsonValue[] = []
  /** Of what comes next in each holder: its index, or where its name stands in the text. */
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
      const within = holder()
      if (typeof within === 'object' && within !== null && !isHeld(text.slice(at, end))) note(within, name())
      at = end - 1
    }
  }

  function note(within: object, name: string): void {
    const names = changed.get(within)
    if (names === undefined) changed.set(within, new Set([name]))
    else names.add(name)
  }
}

/** A fraction is rounded by its nature; a whole number is another one then, and so is one that was none. */
function isHeld(source: string): boolean {
  const value = Number(source)
  if (!Number.isFinite(value)) return false
  if (/^-?\d+$/.test(source)) return BigInt(source) === BigInt(value)
  // Beyond, no field has a number that is not rounded.
  return !Number.isInteger(value) || Math.abs(value) > 2 ** 64 || wholeNumber(source) === BigInt(value)
}

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/**
 * Exactly what a decimal says, undefined where that is not whole. Its zeros are counted one by one: a pattern for those at
 * the end takes the square of a number of a megabyte.
 * @param source of 2 ** 64 at most, with as many digits as a body has.
 */
function wholeNumber(source: string): bigint | undefined {
  const [, sign = '', whole = '', fraction = '', power = '0'] = DECIMAL.exec(source) ?? []
  const digits = whole + fraction
  let end = digits.length
  while (digits[end - 1] === '0') end--
  let start = 0
  while (start < end && digits[start] === '0') start++
  if (start === end) return 0n
  const zeros = Number(power) + whole.length - end
  return zeros < 0 ? undefined : BigInt(`${sign}${digits.slice(start, end)}`) * 10n ** BigInt(zeros)
}
