/** JSON Schema, and how ProtoJSON represents each type of field. The basis of the validation and OpenAPI schemas. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1. */
export interface JsonSchema {
  readonly [keyword: string]: unknown
}

/** The kinds of values that ProtoJSON distinguishes (protobuf.dev, "ProtoJSON Format", table "JSON mapping"). */
export type JsonKind = PlainKind | 'enum' | 'message'
/** The kinds with a fixed schema. Enums and messages have a schema per type. */
export type PlainKind =
  | 'boolean'
  | 'string'
  | 'bytes'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float'
  | 'double'
  | 'timestamp'
  | 'duration'
  | 'field-mask'
  | 'struct'
  | 'list-value'
  | 'value'
  | 'any'

const SCALARS: Record<ScalarType, PlainKind> = {
  [ScalarType.BOOL]: 'boolean',
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.INT32]: 'int32',
  [ScalarType.SINT32]: 'int32',
  [ScalarType.SFIXED32]: 'int32',
  [ScalarType.UINT32]: 'uint32',
  [ScalarType.FIXED32]: 'uint32',
  [ScalarType.INT64]: 'int64',
  [ScalarType.SINT64]: 'int64',
  [ScalarType.SFIXED64]: 'int64',
  [ScalarType.UINT64]: 'uint64',
  [ScalarType.FIXED64]: 'uint64',
  [ScalarType.FLOAT]: 'float',
  [ScalarType.DOUBLE]: 'double',
}

const WELL_KNOWN: Record<string, PlainKind> = {
  'google.protobuf.Timestamp': 'timestamp',
  'google.protobuf.Duration': 'duration',
  'google.protobuf.FieldMask': 'field-mask',
  'google.protobuf.Struct': 'struct',
  'google.protobuf.ListValue': 'list-value',
  'google.protobuf.Value': 'value',
  'google.protobuf.Any': 'any',
}

/** Returns the kind of a singular value, of the entries of a list or of the values of a map. */
export function kindOf(field: DescField): JsonKind {
  if (field.enum !== undefined) return 'enum'
  return field.message === undefined ? scalarKind(field.scalar as ScalarType) : messageKind(field.message)
}

/** Returns the kind of a message: `message`, or that of its special form if it is a well-known type. */
export function messageKind(message: DescMessage): PlainKind | 'message' {
  if (isWrapperDesc(message)) return scalarKind(message.fields[0].scalar)
  return WELL_KNOWN[message.typeName] ?? 'message'
}

export function scalarKind(scalar: ScalarType): PlainKind {
  return SCALARS[scalar]
}

/** Whether null is a value of the type of the field. For other fields null means unset. */
export function hasNull({ message, enum: named }: DescField): boolean {
  const typeName = (message ?? named)?.typeName
  return typeName === 'google.protobuf.Value' || typeName === 'google.protobuf.NullValue'
}
