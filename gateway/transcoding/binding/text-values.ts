/** Converts the text of a path segment or query parameter to the ProtoJSON value of its field. */
import { type DescField, type DescMessage, type JsonValue, ScalarType } from '@bufbuild/protobuf'

const WRAPPERS: Record<string, ScalarType> = {
  'google.protobuf.BoolValue': ScalarType.BOOL,
  'google.protobuf.BytesValue': ScalarType.BYTES,
  'google.protobuf.DoubleValue': ScalarType.DOUBLE,
  'google.protobuf.FloatValue': ScalarType.FLOAT,
  'google.protobuf.Int32Value': ScalarType.INT32,
  'google.protobuf.Int64Value': ScalarType.INT64,
  'google.protobuf.StringValue': ScalarType.STRING,
  'google.protobuf.UInt32Value': ScalarType.UINT32,
  'google.protobuf.UInt64Value': ScalarType.UINT64,
}

const TEXT_MESSAGES = new Set([
  'google.protobuf.Timestamp',
  'google.protobuf.Duration',
  'google.protobuf.FieldMask',
  ...Object.keys(WRAPPERS),
])

/** Whether the ProtoJSON of the message is a single value that can be written as text. */
export function isTextMessage(message: DescMessage): boolean {
  return TEXT_MESSAGES.has(message.typeName)
}

/**
 * Numbers stay strings, which ProtoJSON accepts with all their digits. Text that does not fit the type of the field
 * also stays a string: the structure check reports it.
 */
export function scalarFromText(field: DescField, text: string): JsonValue {
  if (field.enum !== undefined) return /^-?\d+$/.test(text) ? Number(text) : text
  const scalar = field.message === undefined ? field.scalar : WRAPPERS[field.message.typeName]
  if (scalar === ScalarType.BOOL && (text === 'true' || text === 'false')) return text === 'true'
  return text
}
