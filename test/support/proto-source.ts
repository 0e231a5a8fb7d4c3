/** Writes the descriptors of a proto2 file as `.proto` text, for a file that comes as descriptors only. */
import type { DescEnum, DescExtension, DescField, DescFile, DescMessage } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from '@bufbuild/protobuf/wkt'

/** Returns the text without options and comments. Maps and groups are not supported. */
export function protoSource({ proto, messages, enums, extensions }: DescFile): string {
  return [
    'syntax = "proto2";',
    `package ${proto.package};`,
    ...proto.dependency.map(name => `import "${name}";`),
    ...messages.map(message => messageSource(message)),
    ...enums.map(enumSource),
    ...extensions.map(extensionSource),
  ].join('\n')
}

function messageSource({ name, members, proto }: DescMessage): string {
  const lines = members.map(member =>
    member.kind === 'oneof'
      ? `oneof ${member.name} { ${member.fields.map(field => fieldSource(field, '')).join(' ')} }`
      : fieldSource(member, labelOf(member)),
  )
  const ranges = proto.extensionRange.map(({ start }) => `extensions ${start} to max;`)
  const reserved = proto.reservedRange.map(({ start }) => `reserved ${start};`)
  return `message ${name} {\n  ${[...lines, ...ranges, ...reserved].join('\n  ')}\n}`
}

function labelOf({ proto }: DescField | DescExtension): string {
  return proto.label === Label.REPEATED ? 'repeated ' : 'optional '
}

function fieldSource({ name, number, proto }: DescField | DescExtension, label: string): string {
  const type = proto.typeName === '' ? (Type[proto.type ?? Type.STRING] ?? '').toLowerCase() : proto.typeName
  return `${label}${type} ${name} = ${number};`
}

function enumSource({ name, proto }: DescEnum): string {
  return `enum ${name} { ${proto.value.map(value => `${value.name} = ${value.number};`).join(' ')} }`
}

function extensionSource(extension: DescExtension): string {
  return `extend .${extension.extendee.typeName} { ${fieldSource(extension, labelOf(extension))} }`
}
