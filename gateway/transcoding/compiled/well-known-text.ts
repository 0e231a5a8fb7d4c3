/** The well-known types that ProtoJSON writes in a form of their own, from the wire to that form. */
import type { DescMessage } from '@bufbuild/protobuf'
import { protoCamelCase, protoSnakeCase } from '@bufbuild/protobuf/reflect'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import type { Slot } from './field-text.ts'
import { compileObject, MAX_DEPTH, type MessageText, type ObjectText, type TextOf } from './object-text.ts'
import { durationText, timestampText } from './time-text.ts'
import { unsure } from './unsure.ts'
import { VARINT } from './wire-source.ts'

/** @returns undefined for a type that is written as other messages are. */
export function wellKnownText(schema: DescMessage, textOf: TextOf): MessageText | undefined {
  switch (schema.typeName) {
    case 'google.protobuf.Timestamp':
      return secondsAndNanos(timestampText)
    case 'google.protobuf.Duration':
      return secondsAndNanos(durationText)
    case 'google.protobuf.FieldMask':
      return fromSlots(schema, textOf, maskText)
    case 'google.protobuf.Value':
      return fromSlots(schema, textOf, valueText)
    case 'google.protobuf.Struct':
    case 'google.protobuf.ListValue':
      return fromSlots(schema, textOf, onlyField)
    default:
      return isWrapperDesc(schema) ? fromSlots(schema, textOf, onlyField) : undefined
  }
}

function fromSlots(
  schema: DescMessage,
  textOf: TextOf,
  write: (object: ObjectText, slots: readonly Slot[]) => string,
): MessageText {
  const object = compileObject(schema, textOf)
  return (source, start, end, depth) => write(object, object.read(source, start, end, depth))
}

function onlyField(object: ObjectText, slots: readonly Slot[]): string {
  return object.writeField(slots, 0) ?? unsure()
}

/** One that is unset has no JSON, nor has a number that is not finite, which our text for it shows by its quotes. */
function valueText({ fields, writeField }: ObjectText, slots: readonly Slot[]): string {
  const index = slots.findIndex(slot => slot !== undefined)
  const text = writeField(slots, index) ?? unsure()
  return fields[index]?.name === 'number_value' && text.startsWith('"') ? unsure() : text
}

function maskText(object: ObjectText, slots: readonly Slot[]): string {
  const paths: string[] = JSON.parse(onlyField(object, slots))
  const names = paths.map(path => {
    const name = protoCamelCase(path)
    return protoSnakeCase(name) === path ? name : unsure()
  })
  return JSON.stringify(names.join(','))
}

const SECONDS_TAG = (1 << 3) | VARINT
const NANOS_TAG = (2 << 3) | VARINT

function secondsAndNanos(write: (seconds: number, nanos: number) => string): MessageText {
  return (source, start, end, depth) => {
    if (depth > MAX_DEPTH) unsure()
    let seconds = 0
    let nanos = 0
    let at = start
    while (at < end) {
      const tag = source.buffer[at]
      if (tag === SECONDS_TAG) {
        source.varint64(at + 1)
        seconds = source.high * 2 ** 32 + (source.low >>> 0)
      } else if (tag === NANOS_TAG) nanos = source.uint32(at + 1) | 0
      else unsure()
      at = source.position
    }
    if (at !== end) unsure()
    return write(seconds, nanos)
  }
}
