/** Builds descriptors from a generated specification of message types. */
import {
  create,
  createFileRegistry,
  type DescFile,
  type FileRegistry,
  type MessageInitShape,
  ScalarType,
  setExtension,
} from '@bufbuild/protobuf'
import { protoCamelCase } from '@bufbuild/protobuf/reflect'
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  Edition,
  EnumDescriptorProtoSchema,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  FeatureSet_FieldPresence as FieldPresence,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FieldDescriptorProto_Label as Label,
  FeatureSet_MessageEncoding as MessageEncoding,
  type MessageOptions,
  MessageOptionsSchema,
  type OneofOptions,
  OneofOptionsSchema,
  FeatureSet_RepeatedFieldEncoding as RepeatedFieldEncoding,
  FeatureSet_Utf8Validation as Utf8Validation,
} from '@bufbuild/protobuf/wkt'
import {
  FieldRulesSchema,
  MessageRulesSchema,
  OneofRulesSchema,
  field as validateField,
  message as validateMessage,
  oneof as validateOneof,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { CookieSchema, cookie, RulesSchema, rules } from '#proto/edge/v1/options_pb.js'
import { field_behavior } from '#proto/google/api/field_behavior_pb.js'
import { buildContract } from '../../../support/contract.ts'
import type { FieldSpec, TypesSpec } from './arbitrary-types.ts'

const PACKAGE = 't.v1'
const cache = new WeakMap<TypesSpec, FileRegistry>()

/** Returns the descriptors of the types `t.v1.T0` to `t.v1.T2`. The result is cached per spec. */
export function buildDescriptors(spec: TypesSpec): FileRegistry {
  const known = cache.get(spec)
  if (known !== undefined) return known
  const file = create(FileDescriptorProtoSchema, {
    name: 't/v1/t.proto',
    package: PACKAGE,
    syntax: spec.syntax,
    ...(spec.syntax === 'editions' && { edition: Edition.EDITION_2023 }),
    dependency: WELL_KNOWN_FILES.map(({ proto }) => proto.name),
    messageType: spec.types.map((fields, index) => messageProto(spec, `T${index}`, fields)),
    enumType: [enumProto(spec)],
    extension: spec.isExtended ? [extensionOf(`.${PACKAGE}.T1`)] : [],
  })
  const set = create(FileDescriptorSetSchema, { file: [...WELL_KNOWN_FILES.map(({ proto }) => proto), file] })
  const registry = createFileRegistry(set)
  cache.set(spec, registry)
  return registry
}

const httpBodyFile = buildContract({
  't.proto': 'syntax = "proto3"; import "google/api/httpbody.proto"; message T { google.api.HttpBody body = 1; }',
}).getFile('google/api/httpbody.proto') as DescFile

const WELL_KNOWN_FILES = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  httpBodyFile,
]

/** In proto2 the enum is closed and its first value is not 0. */
function enumProto({ syntax }: TypesSpec) {
  const names = ['FIRST', 'SECOND', 'ALSO_SECOND', 'NEGATIVE']
  const numbers = syntax === 'proto2' ? [2, 1, 1, -1] : [0, 1, 1, -1]
  const value = names.map((name, index) => ({ name, number: numbers[index] ?? 0 }))
  return create(EnumDescriptorProtoSchema, { name: 'Enum', value, options: { allowAlias: true } })
}

function messageProto(spec: TypesSpec, name: string, fields: readonly FieldSpec[]): DescriptorProto {
  const nested: DescriptorProto[] = []
  const hasOneof = fields.some(field => field.label === 'oneof')
  const oneofs = hasOneof ? ['choice'] : []
  const protos = fields.map(field => {
    const proto = fieldProto(spec, field, `.${PACKAGE}.${name}`, nested)
    if (field.label === 'oneof') proto.oneofIndex = 0
    if (proto.proto3Optional) proto.oneofIndex = oneofs.push(`_${field.name}`) - 1
    return proto
  })
  return create(DescriptorProtoSchema, {
    name,
    field: protos,
    nestedType: nested,
    extensionRange: spec.isExtended && name === 'T1' ? [{ start: 1000, end: 1001 }] : [],
    oneofDecl: oneofs.map(oneof => ({ name: oneof, options: oneofOptions(spec, oneof) })),
    options: messageOptions(spec, name),
  })
}

function oneofOptions({ isOneofRequired }: TypesSpec, oneof: string): OneofOptions {
  const options = create(OneofOptionsSchema)
  if (isOneofRequired && oneof === 'choice') {
    setExtension(options, validateOneof, create(OneofRulesSchema, { required: true }))
  }
  return options
}

function messageOptions({ messageRules }: TypesSpec, name: string): MessageOptions {
  const options = create(MessageOptionsSchema)
  if (messageRules !== undefined && name === 'T0') {
    setExtension(options, validateMessage, create(MessageRulesSchema, messageRules))
  }
  return options
}

const MESSAGE = 11
const GROUP = 10
const ENUM = 14

function fieldProto(
  spec: TypesSpec,
  field: FieldSpec,
  parent: string,
  nested: DescriptorProto[],
): FieldDescriptorProto {
  const { name, number, label, type } = field
  const isRepeated = label === 'list' || label === 'other list' || label === 'map'
  const isRequired = spec.syntax === 'proto2' && label === 'required'
  const proto = create(FieldDescriptorProtoSchema, {
    name,
    number,
    jsonName: field.jsonName ?? protoCamelCase(name),
    label: isRepeated ? Label.REPEATED : isRequired ? Label.REQUIRED : Label.OPTIONAL,
    proto3Optional: spec.syntax === 'proto3' && label === 'optional',
    options: create(FieldOptionsSchema, encodingOf(spec, field)),
    ...typeOf(type),
  })
  if (type === 'group' && label !== 'map') {
    const groupName = `Group${number}`
    nested.push(create(DescriptorProtoSchema, { name: groupName, field: [textField('text', 1)] }))
    const groupType = spec.syntax === 'proto2' ? GROUP : MESSAGE
    Object.assign(proto, { type: groupType, typeName: `${parent}.${groupName}` })
  }
  if (label === 'map') {
    const entryName = `${protoCamelCase(`_${name}`)}Entry`
    nested.push(
      create(DescriptorProtoSchema, {
        name: entryName,
        field: [
          { name: 'key', number: 1, jsonName: 'key', label: Label.OPTIONAL, type: field.key as number },
          { name: 'value', number: 2, jsonName: 'value', label: Label.OPTIONAL, ...typeOf(type) },
        ],
        options: { mapEntry: true },
      }),
    )
    Object.assign(proto, { type: MESSAGE, typeName: `${parent}.${entryName}` })
  }
  if (field.rules !== undefined && proto.options !== undefined) {
    setExtension(proto.options, rules, create(RulesSchema, field.rules))
  }
  if (field.validate !== undefined && proto.options !== undefined) {
    setExtension(proto.options, validateField, create(FieldRulesSchema, field.validate))
  }
  if (field.behavior !== undefined && proto.options !== undefined) {
    setExtension(proto.options, field_behavior, [field.behavior])
  }
  if (isCookieField(field, parent) && proto.options !== undefined) {
    const maxAgeField = spec.types[0]?.find(
      other => other.type === ScalarType.INT32 && /plain|optional/.test(other.label),
    )
    setExtension(proto.options, cookie, create(CookieSchema, { name: 'c', maxAgeField: maxAgeField?.name ?? '' }))
  }
  return proto
}

function isCookieField({ isCookie, type, label }: FieldSpec, parent: string): boolean {
  return isCookie && type === ScalarType.STRING && label === 'optional' && parent === `.${PACKAGE}.T0`
}

/** Returns the options for an encoding or presence other than the default of the syntax. */
function encodingOf(
  { syntax }: TypesSpec,
  { number, label, type }: FieldSpec,
): MessageInitShape<typeof FieldOptionsSchema> {
  const isNumber = typeof type === 'number' && type !== ScalarType.STRING && type !== ScalarType.BYTES
  const isOther = label === 'other list' && isNumber
  if (syntax !== 'editions') return isOther ? { packed: syntax === 'proto2' } : {}
  const isValue = typeof type === 'number' || type === 'enum'
  return {
    features: {
      ...(label === 'plain' && isValue && { fieldPresence: FieldPresence.IMPLICIT }),
      ...(label === 'required' && { fieldPresence: FieldPresence.LEGACY_REQUIRED }),
      ...(isOther && { repeatedFieldEncoding: RepeatedFieldEncoding.EXPANDED }),
      ...(type === ScalarType.STRING && number % 3 === 0 && { utf8Validation: Utf8Validation.NONE }),
      ...(type === 'group' && label !== 'map' && { messageEncoding: MessageEncoding.DELIMITED }),
    },
  }
}

function extensionOf(extendee: string) {
  return { ...textField('extension', 1000), extendee }
}

function textField(name: string, number: number) {
  return { name, number, jsonName: name, label: Label.OPTIONAL, type: ScalarType.STRING as number }
}

function typeOf(type: FieldSpec['type']): { type: number; typeName?: string } {
  if (typeof type === 'number') return { type }
  if (type === 'enum') return { type: ENUM, typeName: `.${PACKAGE}.Enum` }
  if (type === 'NullValue') return { type: ENUM, typeName: '.google.protobuf.NullValue' }
  if (type === 'group') return { type: ScalarType.STRING }
  return { type: MESSAGE, typeName: typeof type === 'string' ? `.${type}` : `.${PACKAGE}.T${type.message}` }
}
