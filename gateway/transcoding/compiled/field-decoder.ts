/**
 * Compiles the decoders of a field. A decoder reads one occurrence of the field on the wire into the slot that holds
 * the JSON text of the field until the whole message is read.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { Code, StatusError } from '#runtime/status.ts'
import { fallBack } from './fallback.ts'
import { SCALAR_DECODERS, type ScalarDecoder, scalarDecoder } from './scalar-decoders.ts'
import { DELIMITED, type WireReader } from './wire-reader.ts'

/** Returns the JSON text of a message. @param depth nesting of the message; 1 for the response itself. */
export type MessageDecoder = (reader: WireReader, start: number, end: number, depth: number) => string

export type DecoderOf = (schema: DescMessage) => MessageDecoder

/**
 * The JSON text of a field: of a value without its quotes, of a list without its brackets, of a map per key. Undefined
 * if the field is unset.
 */
export type Slot = string | MapEntries | undefined
type MapEntries = Record<string, string>

/**
 * Reads one occurrence of a field into its slot. A value that is not length-delimited ignores `end`; the reader's
 * position is then after the value.
 * @param depth nesting of the message that contains the field.
 */
export type FieldDecoder = (reader: WireReader, start: number, end: number, slots: Slot[], depth: number) => void

type ValueReader = (reader: WireReader, start: number, end: number, depth: number) => string

/**
 * Compiles one decoder per tag. A repeated scalar has two tags: one for packed values, one for a single value.
 * @param fields all fields of the message, in the order of their slots.
 */
export function compileFieldDecoders(
  field: DescField,
  fields: readonly DescField[],
  decoderOf: DecoderOf,
): (readonly [tag: number, FieldDecoder])[] {
  const index = fields.indexOf(field)
  const scalar = scalarDecoder(field)
  const wireType = scalar?.wireType ?? DELIMITED
  const read = scalar?.read ?? messageReader(field, decoderOf)
  const tagOf = (type: number) => ((field.number << 3) | type) >>> 0
  switch (field.fieldKind) {
    case 'map':
      return [[tagOf(DELIMITED), mapDecoder(field, index, decoderOf)]]
    case 'list': {
      const single = [tagOf(wireType), listDecoder(read, index, scalar?.quote ?? '')] as const
      return scalar === undefined || wireType === DELIMITED
        ? [single]
        : [single, [tagOf(DELIMITED), packedDecoder(scalar, index)]]
    }
    default: {
      const others = field.oneof?.fields.filter(other => other !== field) ?? []
      const otherSlots = others.map(other => fields.indexOf(other))
      return [[tagOf(wireType), singularDecoder(read, index, scalar === undefined, otherSlots)]]
    }
  }
}

function messageReader(field: DescField, decoderOf: DecoderOf): ValueReader {
  const decode = decoderOf(field.message as DescMessage)
  return (reader, start, end, depth) => decode(reader, start, end, depth + 1)
}

/**
 * The last occurrence of a singular field wins. Occurrences of a message are merged: that is rare and falls back.
 * @param otherSlots the slots of the other members of the oneof, which a new value clears.
 */
function singularDecoder(
  read: ValueReader,
  index: number,
  isMessage: boolean,
  otherSlots: readonly number[],
): FieldDecoder {
  if (otherSlots.length === 0 && !isMessage) {
    return (reader, start, end, slots, depth) => {
      slots[index] = read(reader, start, end, depth)
    }
  }
  return (reader, start, end, slots, depth) => {
    if (isMessage && slots[index] !== undefined) fallBack()
    slots[index] = read(reader, start, end, depth)
    for (const other of otherSlots) slots[other] = undefined
  }
}

function listDecoder(read: ValueReader, index: number, quote: string): FieldDecoder {
  return quote === ''
    ? (reader, start, end, slots, depth) => append(reader, slots, index, read(reader, start, end, depth))
    : (reader, start, end, slots, depth) =>
        append(reader, slots, index, quote + read(reader, start, end, depth) + quote)
}

function packedDecoder({ read, quote }: ScalarDecoder, index: number): FieldDecoder {
  return (reader, start, end, slots) => {
    let at = start
    while (at < end) {
      append(reader, slots, index, quote + read(reader, at, end) + quote)
      at = reader.position
    }
    if (at !== end) fallBack()
  }
}

function append({ maxTextLength }: WireReader, slots: Slot[], index: number, value: string): void {
  const before = slots[index] as string | undefined
  const text = before === undefined ? value : `${before},${value}`
  if (text.length > maxTextLength) throw responseTooLarge(maxTextLength)
  slots[index] = text
}

function responseTooLarge(maxTextLength: number): StatusError {
  const message = `The JSON of the response would exceed the limit of ${maxTextLength} characters for its message length`
  return new StatusError(Code.RESOURCE_EXHAUSTED, message, { reason: 'upstream_answer_too_large' })
}

/** Each entry of a map is a message with the key as field 1 and the value as field 2. */
function mapDecoder(field: DescField & { fieldKind: 'map' }, index: number, decoderOf: DecoderOf): FieldDecoder {
  const key = SCALAR_DECODERS[field.mapKey]
  const readKey = field.mapKey === ScalarType.STRING ? readStringKey : key.read
  const keyTag = (1 << 3) | key.wireType
  const scalar = scalarDecoder(field)
  const readValue = scalar?.read ?? messageReader(field, decoderOf)
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
      // A second message value in one entry would have to be merged with the first.
      else if (tag === valueTag && (scalar !== undefined || value === undefined)) {
        value = quote + readValue(reader, at, fieldEnd, depth) + quote
      } else fallBack()
      at = isDelimited ? fieldEnd : reader.position
    }
    if (at !== end) fallBack()
    value ??= scalar === undefined ? readValue(reader, end, end, depth) : quote + scalar.zero + quote
    // An object like that of the reference codec, so that its keys are enumerated in the same order.
    const entries = (slots[index] ?? Object.create(null)) as MapEntries
    slots[index] = entries
    entries[keyText] = value
    reader.mapTextLength += value.length
    if (reader.mapTextLength > reader.maxTextLength) throw responseTooLarge(reader.maxTextLength)
  }
}

function readStringKey(reader: WireReader, start: number, end: number): string {
  return reader.string(start, end)
}

/** Returns the JSON text of a slot that is set; a map becomes an object with its braces. */
export function slotText(slot: string | MapEntries): string {
  if (typeof slot === 'string') return slot
  let text = '{'
  for (const key in slot) text += `${text.length === 1 ? '' : ','}${JSON.stringify(key)}:${slot[key]}`
  return `${text}}`
}
