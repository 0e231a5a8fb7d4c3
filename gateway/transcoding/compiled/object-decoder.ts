/**
 * Reads a message and writes its JSON object, in one pass and with no message between: each field's JSON is kept in a
 * slot until the message ends, then all are put together in the order of the fields' numbers, as the reference does.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { fallBack } from './fallback.ts'
import { compileFieldDecoders, type DecoderOf, type FieldDecoder, type Slot, slotText } from './field-decoder.ts'
import { scalarDecoder } from './scalar-decoders.ts'
import { DELIMITED, type WireReader } from './wire-reader.ts'

export interface ObjectDecoder {
  /** In the order of their numbers, which is that of the slots. */
  readonly fields: readonly DescField[]
  read(reader: WireReader, start: number, end: number, depth: number): Slot[]
  write(slots: readonly Slot[]): string
  /** The JSON of one field; undefined where the object does not have it. */
  writeField(slots: readonly Slot[], index: number): string | undefined
}

/** @param unsaid fields that are not written while they are unset, whatever they are. */
export function compileObjectDecoder(
  schema: DescMessage,
  decoderOf: DecoderOf,
  unsaid: ReadonlySet<DescField> = new Set(),
): ObjectDecoder {
  const fields = schema.fields.toSorted((a, b) => a.number - b.number)
  return { fields, read: compileRead(fields, decoderOf), ...compileWrite(fields, unsaid) }
}

/** As the reference's. */
export const MAX_DEPTH = 100

// Up to field 127 a tag has its place in an array.
const ARRAY_TAGS = 1024
const NONE = -1

function compileRead(fields: readonly DescField[], decoderOf: DecoderOf): ObjectDecoder['read'] {
  // 0 is no field's.
  const numbers = new Set([0, ...fields.map(field => field.number)])
  const frequent: (FieldDecoder | undefined)[] = []
  const others = new Map<number, FieldDecoder>()
  // Strings, the most frequent of all, are read without the call of a field's reader, which takes 15 ns.
  const stringSlots = new Int32Array(ARRAY_TAGS).fill(NONE)
  for (const [index, field] of fields.entries()) {
    for (const [tag, readField] of compileFieldDecoders(field, fields, decoderOf)) {
      if (tag >= ARRAY_TAGS) others.set(tag, readField)
      else if (isLoneString(field)) stringSlots[tag] = index
      else frequent[tag] = readField
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
        // Past the end the length is not a number, nor is this.
        if (!(fieldEnd <= end)) fallBack()
        const stringSlot = tag < ARRAY_TAGS ? (stringSlots[tag] as number) : NONE
        if (stringSlot !== NONE) slots[stringSlot] = reader.escapedString(at, fieldEnd)
        else readerOf(tag)?.(reader, at, fieldEnd, slots, depth)
        at = fieldEnd
      } else {
        const readField = readerOf(tag)
        if (readField === undefined) reader.skip(tag, at)
        else readField(reader, at, end, slots, depth)
        at = reader.position
      }
    }
    if (at !== end) fallBack()
    return slots
  }

  /** @returns undefined for a field that is not known. */
  function readerOf(tag: number): FieldDecoder | undefined {
    const readField = tag < ARRAY_TAGS ? frequent[tag] : others.get(tag)
    // A field that is known, but not as the wire type which it has here.
    if (readField === undefined && numbers.has(tag >>> 3)) fallBack()
    return readField
  }
}

function isLoneString(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING && field.oneof === undefined
}

function compileWrite(
  fields: readonly DescField[],
  unsaid: ReadonlySet<DescField>,
): Pick<ObjectDecoder, 'write' | 'writeField'> {
  const frames = fields.map(frameOf)
  const heads = fields.map(({ jsonName }, index) => `${JSON.stringify(jsonName)}:${frames[index]?.open}`)
  const tails = frames.map(frame => frame.close)
  const jointOf = (last: number, next: number) => (last === NONE ? `{${heads[next]}` : `${tails[last]},${heads[next]}`)
  // Most often all fields are there, and a join of strings takes 10 ns.
  const joints = heads.map((_, index) => jointOf(index - 1, index))
  const ends = tails.map(tail => `${tail}}`)
  const blanks = fields.map(field => (unsaid.has(field) ? undefined : blankOf(field)))

  return {
    write(slots) {
      let text = ''
      let last = NONE
      for (let index = 0; index < slots.length; index++) {
        const slot = slots[index] ?? blanks[index]
        if (slot === undefined) continue
        text += (index - last === 1 ? joints[index] : jointOf(last, index)) + slotText(slot)
        last = index
      }
      return last === NONE ? '{}' : text + ends[last]
    },
    writeField(slots, index) {
      const slot = slots[index] ?? blanks[index]
      return slot === undefined ? undefined : `${frames[index]?.open}${slotText(slot)}${tails[index]}`
    },
  }
}

/** What stands around the text of a slot. */
function frameOf(field: DescField): { open: string; close: string } {
  if (field.fieldKind === 'list') return { open: '[', close: ']' }
  const quote = field.fieldKind === 'scalar' ? (scalarDecoder(field)?.quote ?? '') : ''
  return { open: quote, close: quote }
}

// google.protobuf.FeatureSet.FieldPresence.IMPLICIT
const IMPLICIT = 2

/** What stands in the slot of a field that is not in the message (`alwaysEmitImplicit`). */
function blankOf(field: DescField): string | undefined {
  if (field.fieldKind === 'list') return ''
  if (field.fieldKind === 'map') return '{}'
  return field.presence === IMPLICIT ? scalarDecoder(field)?.zero : undefined
}
