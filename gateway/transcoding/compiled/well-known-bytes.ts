/** The well-known types that ProtoJSON reads in a form of their own, from that form to the wire. */
import type { DescField, DescMessage, JsonValue } from '@bufbuild/protobuf'
import { protoSnakeCase } from '@bufbuild/protobuf/reflect'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import { isTimestamp } from '../reference/text-formats.ts'
import type { MessageBytes } from './object-bytes.ts'
import { parseString, scalarBytes } from './scalar-bytes.ts'
import { unsure } from './unsure.ts'
import type { WireSink } from './wire-sink.ts'
import { BIT64, DELIMITED, VARINT } from './wire-source.ts'

/** @returns undefined for a type that is read as other messages are. */
export function wellKnownBytes(schema: DescMessage): MessageBytes | undefined {
  return BYTES[schema.typeName] ?? (isWrapperDesc(schema) ? wrapperBytes(schema.fields[0]) : undefined)
}

const BYTES: Record<string, MessageBytes> = {
  'google.protobuf.Timestamp': writeTimestamp,
  'google.protobuf.Duration': writeDuration,
  'google.protobuf.FieldMask': writeFieldMask,
  'google.protobuf.Struct': writeStruct,
  'google.protobuf.ListValue': writeListValue,
  'google.protobuf.Value': writeValue,
}

const FIRST_TAG = 1 << 3

function wrapperBytes(field: DescField): MessageBytes {
  const { wireType, parse, isZero, write } = scalarBytes(field) ?? unsure()
  return (sink, json) => {
    const value = parse(json)
    if (isZero(value)) return
    sink.uint32(FIRST_TAG | wireType)
    write(sink, value)
  }
}

// Seconds, their fraction, offset.
const TIMESTAMP = /^(.{19})(?:\.(\d+))?(.+)$/
const FIRST_SECOND = -62_135_596_800
const LAST_SECOND = 253_402_300_799

function writeTimestamp(sink: WireSink, json: JsonValue): void {
  const text = parseString(json)
  const [, second, fraction, offset] = (isTimestamp(text) && TIMESTAMP.exec(text)) || unsure()
  const seconds = Date.parse(`${second}${offset}`) / 1000
  if (!(seconds >= FIRST_SECOND && seconds <= LAST_SECOND)) unsure()
  writeSecondsAndNanos(sink, seconds, nanosOf(fraction))
}

const DURATION = /^(-)?(\d{1,12})(?:\.(\d{1,9}))?s$/
const MAX_DURATION = 315_576_000_000

function writeDuration(sink: WireSink, json: JsonValue): void {
  const [, minus, whole, fraction] = DURATION.exec(parseString(json)) ?? unsure()
  const seconds = Number(whole)
  if (seconds > MAX_DURATION) unsure()
  const sign = minus === undefined ? 1 : -1
  writeSecondsAndNanos(sink, sign * seconds, sign * nanosOf(fraction))
}

function nanosOf(fraction: string | undefined): number {
  return fraction === undefined ? 0 : Number(fraction.padEnd(9, '0'))
}

function writeSecondsAndNanos(sink: WireSink, seconds: number, nanos: number): void {
  if (seconds !== 0) {
    sink.uint32(FIRST_TAG | VARINT)
    sink.varint64(BigInt(seconds))
  }
  if (nanos !== 0) {
    sink.uint32((2 << 3) | VARINT)
    sink.int32(nanos)
  }
}

function writeFieldMask(sink: WireSink, json: JsonValue): void {
  const mask = parseString(json)
  if (mask.includes('_')) unsure()
  if (mask === '') return
  for (const path of mask.split(',')) {
    sink.uint32(FIRST_TAG | DELIMITED)
    sink.string(protoSnakeCase(path))
  }
}

function writeStruct(sink: WireSink, json: JsonValue): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) unsure()
  for (const [key, value] of Object.entries(json)) {
    sink.uint32(FIRST_TAG | DELIMITED)
    const entry = sink.open()
    sink.uint32(FIRST_TAG | DELIMITED)
    sink.string(parseString(key))
    writeDelimited(sink, (2 << 3) | DELIMITED, value, writeValue)
    sink.close(entry)
  }
}

function writeListValue(sink: WireSink, json: JsonValue): void {
  if (!Array.isArray(json)) unsure()
  for (const value of json) writeDelimited(sink, FIRST_TAG | DELIMITED, value, writeValue)
}

function writeDelimited(
  sink: WireSink,
  tag: number,
  json: JsonValue,
  write: (sink: WireSink, json: JsonValue) => void,
): void {
  sink.uint32(tag)
  const start = sink.open()
  write(sink, json)
  sink.close(start)
}

const NULL_TAG = (1 << 3) | VARINT
const NUMBER_TAG = (2 << 3) | BIT64
const STRING_TAG = (3 << 3) | DELIMITED
const BOOL_TAG = (4 << 3) | VARINT
const STRUCT_TAG = (5 << 3) | DELIMITED
const LIST_TAG = (6 << 3) | DELIMITED

function writeValue(sink: WireSink, json: JsonValue): void {
  switch (typeof json) {
    case 'string':
      sink.uint32(STRING_TAG)
      sink.string(parseString(json))
      return
    case 'number':
      // JSON.parse takes 1e999 for infinite.
      if (!Number.isFinite(json)) unsure()
      sink.uint32(NUMBER_TAG)
      sink.double(json)
      return
    case 'boolean':
      sink.uint32(BOOL_TAG)
      sink.uint32(json ? 1 : 0)
      return
    default:
      if (json === null) {
        sink.uint32(NULL_TAG)
        sink.uint32(0)
      } else if (Array.isArray(json)) writeDelimited(sink, LIST_TAG, json, writeListValue)
      else writeDelimited(sink, STRUCT_TAG, json, writeStruct)
  }
}
