/** Reads one occurrence of a field on the wire into the slot that holds the field's JSON until its message ends. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { Code, StatusError } from '#runtime/status.ts'
import type { TextOf } from './object-text.ts'
import { SCALAR_TEXTS, type ScalarText, scalarText } from './scalar-text.ts'
import { unsure } from './unsure.ts'
import { DELIMITED, type WireSource } from './wire-source.ts'

/**
 * Undefined for an unset field; a value without its quotes; the entries of a list without its brackets; those of a map
 * by their keys.
 */
export type Slot = string | MapTexts | undefined
type MapTexts = Record<string, string>

/**
 * What is not delimited has no `end`, and leaves the source after it.
 * @param depth of the message that the field stands in.
 */
export type FieldReader = (source: WireSource, start: number, end: number, slots: Slot[], depth: number) => void

type ValueReader = (source: WireSource, start: number, end: number, depth: number) => string

/**
 * The readers of a field by the tags that it may have.
 * @param fields of the message, in the order of their slots.
 */
export function fieldReaders(
  field: DescField,
  fields: readonly DescField[],
  textOf: TextOf,
): (readonly [tag: number, FieldReader])[] {
  const index = fields.indexOf(field)
  const scalar = scalarText(field)
  const wireType = scalar?.wireType ?? DELIMITED
  const read = scalar?.read ?? messageValue(field, textOf)
  const tagOf = (type: number) => ((field.number << 3) | type) >>> 0
  switch (field.fieldKind) {
    case 'map':
      return [[tagOf(DELIMITED), mapReader(field, index, textOf)]]
    case 'list': {
      const single = [tagOf(wireType), listReader(read, index, scalar?.quote ?? '')] as const
      return scalar === undefined || wireType === DELIMITED
        ? [single]
        : [single, [tagOf(DELIMITED), packedReader(scalar, index)]]
    }
    default: {
      const rivals = field.oneof?.fields.filter(other => other !== field) ?? []
      const places = rivals.map(rival => fields.indexOf(rival))
      return [[tagOf(wireType), singleReader(read, index, scalar === undefined, places)]]
    }
  }
}

function messageValue(field: DescField, textOf: TextOf): ValueReader {
  const read = textOf(field.message as DescMessage)
  return (source, start, end, depth) => read(source, start, end, depth + 1)
}

/**
 * The last value wins, but for messages, which merge: that is rare, and left to the reference.
 * @param rivals the slots of the other members of a oneof.
 */
function singleReader(read: ValueReader, index: number, isMessage: boolean, rivals: readonly number[]): FieldReader {
  if (rivals.length === 0 && !isMessage) {
    return (source, start, end, slots, depth) => {
      slots[index] = read(source, start, end, depth)
    }
  }
  return (source, start, end, slots, depth) => {
    if (isMessage && slots[index] !== undefined) unsure()
    slots[index] = read(source, start, end, depth)
    for (const rival of rivals) slots[rival] = undefined
  }
}

function listReader(read: ValueReader, index: number, quote: string): FieldReader {
  return quote === ''
    ? (source, start, end, slots, depth) => append(source, slots, index, read(source, start, end, depth))
    : (source, start, end, slots, depth) =>
        append(source, slots, index, quote + read(source, start, end, depth) + quote)
}

function packedReader({ read, quote }: ScalarText, index: number): FieldReader {
  return (source, start, end, slots) => {
    let at = start
    while (at < end) {
      append(source, slots, index, quote + read(source, at, end) + quote)
      at = source.position
    }
    if (at !== end) unsure()
  }
}

function append({ mostText }: WireSource, slots: Slot[], index: number, value: string): void {
  const before = slots[index] as string | undefined
  const text = before === undefined ? value : `${before},${value}`
  if (text.length > mostText) throw tooMuchText(mostText)
  slots[index] = text
}

function tooMuchText(most: number): StatusError {
  const message = `The answer would be longer than the ${most} characters of JSON that are made of its length`
  return new StatusError(Code.RESOURCE_EXHAUSTED, message, { reason: 'upstream_answer_too_large' })
}

/** An entry is a message of its own, with the key and the value as its fields 1 and 2. */
function mapReader(field: DescField & { fieldKind: 'map' }, index: number, textOf: TextOf): FieldReader {
  const key = SCALAR_TEXTS[field.mapKey]
  const readKey = field.mapKey === ScalarType.STRING ? stringKey : key.read
  const keyTag = (1 << 3) | key.wireType
  const scalar = scalarText(field)
  const readValue = scalar?.read ?? messageValue(field, textOf)
  const valueTag = (2 << 3) | (scalar?.wireType ?? DELIMITED)
  const quote = scalar?.quote ?? ''

  return (source, start, end, slots, depth) => {
    let keyText = key.zero
    let value: string | undefined
    let at = start
    while (at < end) {
      const tag = source.buffer[at++] as number
      const isDelimited = (tag & 7) === DELIMITED
      const length = isDelimited ? source.uint32(at) : 0
      if (isDelimited) at = source.position
      const fieldEnd = at + length
      if (fieldEnd > end) unsure()
      if (tag === keyTag) keyText = readKey(source, at, fieldEnd)
      // A message given twice in one entry is merged.
      else if (tag === valueTag && (scalar !== undefined || value === undefined)) {
        value = quote + readValue(source, at, fieldEnd, depth) + quote
      } else unsure()
      at = isDelimited ? fieldEnd : source.position
    }
    if (at !== end) unsure()
    value ??= scalar === undefined ? readValue(source, end, end, depth) : quote + scalar.zero + quote
    // An object, since the reference has one here too: the order of its keys is not that of the wire.
    const entries = (slots[index] ?? Object.create(null)) as MapTexts
    slots[index] = entries
    entries[keyText] = value
    source.mapText += value.length
    if (source.mapText > source.mostText) throw tooMuchText(source.mostText)
  }
}

function stringKey(source: WireSource, start: number, end: number): string {
  return source.string(start, end)
}

export function slotText(slot: string | MapTexts): string {
  if (typeof slot === 'string') return slot
  let text = '{'
  for (const key in slot) text += `${text.length === 1 ? '' : ','}${JSON.stringify(key)}:${slot[key]}`
  return `${text}}`
}
