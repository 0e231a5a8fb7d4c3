/**
 * Compiles the decoder of a message type whose ProtoJSON is an object. It reads the message in one pass and keeps the
 * JSON text of each field in a slot. At the end it concatenates the slots by field number, as @bufbuild/protobuf does.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { fallBack } from './fallback.ts'
import { compileFieldDecoders, type DecoderOf, type FieldDecoder, type Slot, slotText } from './field-decoder.ts'
import { scalarDecoder } from './scalar-decoders.ts'
import { DELIMITED, type WireReader } from './wire-reader.ts'

/** Reads a message into slots, and writes slots as JSON. The steps are separate so that callers can clear slots. */
export interface ObjectDecoder {
  /** The fields by ascending number, which is the order of the slots. */
  readonly fields: readonly DescField[]
  /** Reads the message between `start` and `end`. Returns one slot per field. */
  read(reader: WireReader, start: number, end: number, depth: number): Slot[]
  write(slots: readonly Slot[]): string
  /** Returns the JSON text of one field; undefined if the object does not contain the field. */
  writeField(slots: readonly Slot[], index: number): string | undefined
}

/** @param omitted fields that are not written if unset, even if ProtoJSON would write their default. */
export function compileObjectDecoder(
  schema: DescMessage,
  decoderOf: DecoderOf,
  omitted: ReadonlySet<DescField> = new Set(),
): ObjectDecoder {
  const fields = schema.fields.toSorted((a, b) => a.number - b.number)
  return { fields, read: compileRead(fields, decoderOf), ...compileWrite(fields, omitted) }
}

/** Maximum nesting of messages, the limit of @bufbuild/protobuf. Decoders fall back beyond it. */
export const MAX_DEPTH = 100

// Decoders of fields 1 to 127 are looked up in arrays by tag.
const ARRAY_TAGS = 1024
const NONE = -1

function compileRead(fields: readonly DescField[], decoderOf: DecoderOf): ObjectDecoder['read'] {
  // 0 is not a valid field number.
  const numbers = new Set([0, ...fields.map(field => field.number)])
  const frequent: (FieldDecoder | undefined)[] = []
  const others = new Map<number, FieldDecoder>()
  // Strings are the most frequent fields. Reading them inline saves the call of a decoder, 15 ns.
  const stringSlots = new Int32Array(ARRAY_TAGS).fill(NONE)
  for (const [index, field] of fields.entries()) {
    for (const [tag, decode] of compileFieldDecoders(field, fields, decoderOf)) {
      if (tag >= ARRAY_TAGS) others.set(tag, decode)
      else if (isPlainString(field)) stringSlots[tag] = index
      else frequent[tag] = decode
    }
  }
  const unset: Slot[] = fields.map(() => undefined)

  return (reader, start, end, depth) => {
    if (depth > MAX_DEPTH) fallBack()
    const { buffer } = reader
    const slots = unset.slice()
    let at = start
    while (at < end) {
      let tag = buffer[at++] as number
      if (tag > 0x7f) {
        tag = reader.tag(at - 1)
        at = reader.position
      }
      if ((tag & 7) === DELIMITED) {
        let length = buffer[at++] as number
        if (length > 0x7f) {
          length = reader.uint32(at - 1)
          at = reader.position
        }
        const fieldEnd = at + length
        // Negated, because a length that was read beyond the end of the buffer is NaN.
        if (!(fieldEnd <= end)) fallBack()
        const stringSlot = tag < ARRAY_TAGS ? (stringSlots[tag] as number) : NONE
        if (stringSlot !== NONE) slots[stringSlot] = reader.escapedString(at, fieldEnd)
        else decoderFor(tag)?.(reader, at, fieldEnd, slots, depth)
        at = fieldEnd
      } else {
        const decode = decoderFor(tag)
        if (decode === undefined) reader.skip(tag, at)
        else decode(reader, at, end, slots, depth)
        at = reader.position
      }
    }
    if (at !== end) fallBack()
    return slots
  }

  function decoderFor(tag: number): FieldDecoder | undefined {
    const decode = tag < ARRAY_TAGS ? frequent[tag] : others.get(tag)
    // A known field with an unexpected wire type.
    if (decode === undefined && numbers.has(tag >>> 3)) fallBack()
    return decode
  }
}

function isPlainString(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING && field.oneof === undefined
}

function compileWrite(
  fields: readonly DescField[],
  omitted: ReadonlySet<DescField>,
): Pick<ObjectDecoder, 'write' | 'writeField'> {
  const frames = fields.map(frameOf)
  const openings = fields.map(({ jsonName }, index) => `${JSON.stringify(jsonName)}:${frames[index]?.open}`)
  const closings = frames.map(frame => frame.close)
  const separatorBetween = (last: number, next: number) =>
    last === NONE ? `{${openings[next]}` : `${closings[last]},${openings[next]}`
  // Precomputed for adjacent fields, because usually all fields are set and each concatenation takes 10 ns.
  const separators = openings.map((_, index) => separatorBetween(index - 1, index))
  const ends = closings.map(closing => `${closing}}`)
  const defaults = fields.map(field => (omitted.has(field) ? undefined : defaultText(field)))

  return {
    write(slots) {
      let text = ''
      let last = NONE
      for (let index = 0; index < slots.length; index++) {
        const slot = slots[index] ?? defaults[index]
        if (slot === undefined) continue
        text += (index - last === 1 ? separators[index] : separatorBetween(last, index)) + slotText(slot)
        last = index
      }
      return last === NONE ? '{}' : text + ends[last]
    },
    writeField(slots, index) {
      const slot = slots[index] ?? defaults[index]
      return slot === undefined ? undefined : `${frames[index]?.open}${slotText(slot)}${closings[index]}`
    },
  }
}

/** Returns the brackets of a list or the quotes of a value, which the text of a slot does not contain. */
function frameOf(field: DescField): { open: string; close: string } {
  if (field.fieldKind === 'list') return { open: '[', close: ']' }
  const quote = field.fieldKind === 'scalar' ? (scalarDecoder(field)?.quote ?? '') : ''
  return { open: quote, close: quote }
}

/** Returns the slot text of an unset field; undefined if it is not written (as with `alwaysEmitImplicit`). */
function defaultText(field: DescField): string | undefined {
  if (field.fieldKind === 'list') return ''
  if (field.fieldKind === 'map') return '{}'
  return field.presence === FieldPresence.IMPLICIT ? scalarDecoder(field)?.zero : undefined
}
