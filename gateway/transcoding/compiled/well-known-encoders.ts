/** Encoders of the well-known types that have a special form in ProtoJSON. */
import type { DescField, DescMessage, JsonValue } from '@bufbuild/protobuf'
import { protoSnakeCase } from '@bufbuild/protobuf/reflect'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import { ProtoPaths } from '../binding/field-masks.ts'
import { fallBack } from './fallback.ts'
import type { MessageEncoder } from './field-encoder.ts'
import { parseString, scalarEncoder } from './scalar-encoders.ts'
import { parseDuration, parseTimestamp } from './time-parsers.ts'
import { BIT64, DELIMITED, VARINT } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/** Returns the encoder of a well-known type; undefined if the ProtoJSON of the type is an ordinary object. */
export function wellKnownEncoder(schema: DescMessage): MessageEncoder | undefined {
  return ENCODERS[schema.typeName] ?? (isWrapperDesc(schema) ? wrapperEncoder(schema.fields[0]) : undefined)
}

const ENCODERS: Record<string, MessageEncoder> = {
  'google.protobuf.Timestamp': writeTimestamp,
  'google.protobuf.Duration': writeDuration,
  'google.protobuf.FieldMask': writeFieldMask,
  'google.protobuf.Struct': writeStruct,
  'google.protobuf.ListValue': writeListValue,
  'google.protobuf.Value': writeValue,
}

const FIRST_TAG = 1 << 3

function wrapperEncoder(field: DescField): MessageEncoder {
  const { wireType, parse, isZero, write } = scalarEncoder(field) ?? fallBack()
  return (writer, json) => {
    const value = parse(json)
    if (isZero(value)) return
    writer.uint32(FIRST_TAG | wireType)
    write(writer, value)
  }
}

function writeTimestamp(writer: WireWriter, json: JsonValue): void {
  const { seconds, nanos } = parseTimestamp(json)
  writeSecondsAndNanos(writer, seconds, nanos)
}

function writeDuration(writer: WireWriter, json: JsonValue): void {
  const { seconds, nanos } = parseDuration(json)
  writeSecondsAndNanos(writer, seconds, nanos)
}

function writeSecondsAndNanos(writer: WireWriter, seconds: number, nanos: number): void {
  if (seconds !== 0) {
    writer.uint32(FIRST_TAG | VARINT)
    writer.varint64(BigInt(seconds))
  }
  if (nanos !== 0) {
    writer.uint32((2 << 3) | VARINT)
    writer.int32(nanos)
  }
}

function writeFieldMask(writer: WireWriter, json: JsonValue | ProtoPaths): void {
  if (json instanceof ProtoPaths) writePaths(writer, json.paths)
  else {
    const mask = parseString(json)
    if (mask === '') return
    const paths = mask.split(',')
    if (mask.includes('_') || paths.includes('')) fallBack()
    writePaths(writer, paths.map(protoSnakeCase))
  }
}

function writePaths(writer: WireWriter, paths: readonly string[]): void {
  for (const path of paths) {
    writer.uint32(FIRST_TAG | DELIMITED)
    writer.string(parseString(path))
  }
}

function writeStruct(writer: WireWriter, json: JsonValue): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) fallBack()
  for (const [key, value] of Object.entries(json)) {
    writer.uint32(FIRST_TAG | DELIMITED)
    const entry = writer.open()
    writer.uint32(FIRST_TAG | DELIMITED)
    writer.string(parseString(key))
    writeDelimited(writer, (2 << 3) | DELIMITED, value, writeValue)
    writer.close(entry)
  }
}

function writeListValue(writer: WireWriter, json: JsonValue): void {
  if (!Array.isArray(json)) fallBack()
  for (const value of json) writeDelimited(writer, FIRST_TAG | DELIMITED, value, writeValue)
}

function writeDelimited(
  writer: WireWriter,
  tag: number,
  json: JsonValue,
  write: (writer: WireWriter, json: JsonValue) => void,
): void {
  writer.uint32(tag)
  const start = writer.open()
  write(writer, json)
  writer.close(start)
}

const NULL_TAG = (1 << 3) | VARINT
const NUMBER_TAG = (2 << 3) | BIT64
const STRING_TAG = (3 << 3) | DELIMITED
const BOOL_TAG = (4 << 3) | VARINT
const STRUCT_TAG = (5 << 3) | DELIMITED
const LIST_TAG = (6 << 3) | DELIMITED

function writeValue(writer: WireWriter, json: JsonValue): void {
  switch (typeof json) {
    case 'string':
      writer.uint32(STRING_TAG)
      writer.string(parseString(json))
      return
    case 'number':
      // JSON.parse returns Infinity for 1e999.
      if (!Number.isFinite(json)) fallBack()
      writer.uint32(NUMBER_TAG)
      writer.double(json)
      return
    case 'boolean':
      writer.uint32(BOOL_TAG)
      writer.uint32(json ? 1 : 0)
      return
    default:
      if (json === null) {
        writer.uint32(NULL_TAG)
        writer.uint32(0)
      } else if (Array.isArray(json)) writeDelimited(writer, LIST_TAG, json, writeListValue)
      else writeDelimited(writer, STRUCT_TAG, json, writeStruct)
  }
}
