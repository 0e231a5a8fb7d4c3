/** Decoders of the well-known types that have a special form in ProtoJSON. */
import type { DescMessage } from '@bufbuild/protobuf'
import { protoCamelCase, protoSnakeCase } from '@bufbuild/protobuf/reflect'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import { fallBack } from './fallback.ts'
import type { DecoderOf, MessageDecoder, Slot } from './field-decoder.ts'
import { compileObjectDecoder, MAX_DEPTH, type ObjectDecoder } from './object-decoder.ts'
import { durationText, timestampText } from './time-json.ts'
import { VARINT } from './wire-reader.ts'

/** Returns the decoder of a well-known type; undefined if the ProtoJSON of the type is an ordinary object. */
export function wellKnownDecoder(schema: DescMessage, decoderOf: DecoderOf): MessageDecoder | undefined {
  switch (schema.typeName) {
    case 'google.protobuf.Timestamp':
      return secondsAndNanos(timestampText)
    case 'google.protobuf.Duration':
      return secondsAndNanos(durationText)
    case 'google.protobuf.FieldMask':
      return slotsDecoder(schema, decoderOf, writeFieldMask)
    case 'google.protobuf.Value':
      return slotsDecoder(schema, decoderOf, writeValue)
    case 'google.protobuf.Struct':
    case 'google.protobuf.ListValue':
      return slotsDecoder(schema, decoderOf, writeOnlyField)
    default:
      return isWrapperDesc(schema) ? slotsDecoder(schema, decoderOf, writeOnlyField) : undefined
  }
}

function slotsDecoder(
  schema: DescMessage,
  decoderOf: DecoderOf,
  write: (object: ObjectDecoder, slots: readonly Slot[]) => string,
): MessageDecoder {
  const object = compileObjectDecoder(schema, decoderOf)
  return (reader, start, end, depth) => write(object, object.read(reader, start, end, depth))
}

function writeOnlyField(object: ObjectDecoder, slots: readonly Slot[]): string {
  return object.writeField(slots, 0) ?? fallBack()
}

/** An unset Value is null. Falls back for a number that is not finite (its text has quotes), which JSON cannot express. */
function writeValue({ fields, writeField }: ObjectDecoder, slots: readonly Slot[]): string {
  const index = slots.findIndex(slot => slot !== undefined)
  if (index === -1) return 'null'
  const text = writeField(slots, index) ?? fallBack()
  return fields[index]?.name === 'number_value' && text.startsWith('"') ? fallBack() : text
}

function writeFieldMask(object: ObjectDecoder, slots: readonly Slot[]): string {
  const paths: string[] = JSON.parse(writeOnlyField(object, slots))
  const names = paths.map(path => {
    const name = protoCamelCase(path)
    return protoSnakeCase(name) === path ? name : fallBack()
  })
  return JSON.stringify(names.join(','))
}

const SECONDS_TAG = (1 << 3) | VARINT
const NANOS_TAG = (2 << 3) | VARINT

function secondsAndNanos(write: (seconds: number, nanos: number) => string): MessageDecoder {
  return (reader, start, end, depth) => {
    if (depth > MAX_DEPTH) fallBack()
    let seconds = 0
    let nanos = 0
    let at = start
    while (at < end) {
      const tag = reader.buffer[at]
      if (tag === SECONDS_TAG) {
        reader.varint64(at + 1)
        seconds = reader.high * 2 ** 32 + (reader.low >>> 0)
      } else if (tag === NANOS_TAG) nanos = reader.uint32(at + 1) | 0
      else fallBack()
      at = reader.position
    }
    if (at !== end) fallBack()
    return write(seconds, nanos)
  }
}
