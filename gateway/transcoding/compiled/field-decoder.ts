/** Reads one occurrence of a field on the wire into the slot that holds the field's JSON until its message ends. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { Code, StatusError } from '#runtime/status.ts'
import { fallBack } from './fallback.ts'
import { SCALAR_DECODERS, type ScalarDecoder, scalarDecoder } from './scalar-decoders.ts'
import { DELIMITED, type WireReader } from './wire-reader.ts'

/**
 * Reads the message from `start` to `end` and writes its JSON.
 * @param depth of the message itself; the outermost's is 1.
 */
export type MessageDecoder = (reader: WireReader, start: number, end: number, depth: number) => string

export type DecoderOf = (schema: DescMessage) => MessageDecoder

/**
 * Undefined for an unset field; a value without its quotes; the entries of a list without its brackets; those of a map
 * by their keys.
 */
export type Slot = string | MapTexts | undefined
type MapTexts = Record<string, string>

/**
 * What is not delimited has no `end`, and leaves the reader after it.
 * @param depth of the message that the field stands in.
 */
export type FieldDecoder = (reader: WireReader, start: number, end: number, slots: Slot[], depth: number) => void

type ValueDecoder = (reader: WireReader, start: number, end: number, depth: number) => string

/**
 * The readers of a field by the tags that it may have.
 * @param fields of the message, in the order of their slots.
 */
export function compileFieldDecoders(
  field: DescField,
  fields: readonly DescField[],
  decoderOf: DecoderOf,
): (readonly [tag: number, FieldDecoder])[] {
  const index = fields.indexOf(field)
  const scalar = scalarDecoder(field)
  const wireType = scalar?.wireType ?? DELIMITED
  const read = scalar?.read ?? messageValue(field, decoderOf)
  const tagOf = (type: number) => ((field.number << 3) | type) >>> 0
  switch (field.fieldKind) {
    case 'map':
      return [[tagOf(DELIMITED), mapReader(field, index, decoderOf)]]
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

function messageValue(field: DescField, decoderOf: DecoderOf): ValueDecoder {
  const read = decoderOf(field.message as DescMessage)
  return (reader, start, end, depth) => read(reader, start, end, depth + 1)
}

/**
 * The last value wins, but for messages, which merge: that is rare, and left to the reference.
 * @param rivals the slots of the other members of a oneof.
 */
function singleReader(read: ValueDecoder, index: number, isMessage: boolean, rivals: readonly number[]): FieldDecoder {
  if (rivals.length === 0 && !isMessage) {
    return (reader, start, end, slots, depth) => {
      slots[index] = read(reader, start, end, depth)
    }
  }
  return (reader, start, end, slots, depth) => {
    if (isMessage && slots[index] !== undefined) fallBack()
    slots[index] = read(reader, start, end, depth)
    for (const rival of rivals) slots[rival] = undefined
  }
}

function listReader(read: ValueDecoder, index: number, quote: string): FieldDecoder {
  return quote === ''
    ? (reader, start, end, slots, depth) => append(reader, slots, index, read(reader, start, end, depth))
    : (reader, start, end, slots, depth) =>
        append(reader, slots, index, quote + read(reader, start, end, depth) + quote)
}

function packedReader({ read, quote }: ScalarDecoder, index: number): FieldDecoder {
  return (reader, start, end, slots) => {
    let at = start
    while (at < end) {
      append(reader, slots, index, quote + read(reader, at, end) + quote)
      at = reader.position
    }
    if (at !== end) fallBack()
  }
}

function append({ mostText }: WireReader, slots: Slot[], index: number, value: string): void {
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
function mapReader(field: DescField & { fieldKind: 'map' }, index: number, decoderOf: DecoderOf): FieldDecoder {
  const key = SCALAR_DECODERS[field.mapKey]
  const readKey = field.mapKey === ScalarType.STRING ? stringKey : key.read
  const keyTag = (1 << 3) | key.wireType
  const scalar = scalarDecoder(field)
  const readValue = scalar?.read ?? messageValue(field, decoderOf)
  const valueTag = (2 << 3) | (scalar?.wireType ?? DELIMITED)
  const quote = scalar?.quote ?? ''

  return (reader, start, end, slots, depth) => {
    let keyText = key.zero
    let value: string | undefined
    let at = start
    while (at < end) {
      const tag = reader.buffer[at++] as number
      const isDelimited = (tag & 7) === DELIMITED
      const length = isDelimited ? reader.uint32(at) : 0
      if (isDelimited) at = reader.position
      const fieldEnd = at + length
      if (fieldEnd > end) fallBack()
      if (tag === keyTag) keyText = readKey(reader, at, fieldEnd)
      // A message given twice in one entry is merged.
      else if (tag === valueTag && (scalar !== undefined || value === undefined)) {
        value = quote + readValue(reader, at, fieldEnd, depth) + quote
      } else fallBack()
      at = isDelimited ? fieldEnd : reader.position
    }
    if (at !== end) fallBack()
    value ??= scalar === undefined ? readValue(reader, end, end, depth) : quote + scalar.zero + quote
    // An object, since the reference has one here too: the order of its keys is not that of the wire.
    const entries = (slots[index] ?? Object.create(null)) as MapTexts
    slots[index] = entries
    entries[keyText] = value
    reader.mapText += value.length
    if (reader.mapText > reader.mostText) throw tooMuchText(reader.mostText)
  }
}

function stringKey(reader: WireReader, start: number, end: number): string {
  return reader.string(start, end)
}

export function slotText(slot: string | MapTexts): string {
  if (typeof slot === 'string') return slot
  let text = '{'
  for (const key in slot) text += `${text.length === 1 ? '' : ','}${JSON.stringify(key)}:${slot[key]}`
  return `${text}}`
}
