/** Finds the files of a contract by name, by symbol and by extension, for server reflection. */
import { type DescEnum, type DescMessage, type DescService, type FileRegistry, fromBinary } from '@bufbuild/protobuf'
import { nestedTypes } from '@bufbuild/protobuf/reflect'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { parseContract } from './contract.ts'
import { joinImage } from './image.ts'

/** A file of a contract. */
export interface DescriptorFile {
  /** Such as `user/v1/user.proto`. */
  readonly name: string
  /** The serialized FileDescriptorProto. */
  readonly bytes: Uint8Array
  /** Names of the files that it imports. */
  readonly imports: readonly string[]
}

export interface DescriptorIndex {
  byName(name: string): DescriptorFile | undefined
  /** @param symbol full name of a type, a service, a method, a field, an enum value or an extension. */
  bySymbol(symbol: string): DescriptorFile | undefined
  /** @param extendee full name of the extended message. */
  byExtension(extendee: string, number: number): DescriptorFile | undefined
  /** Sorted numbers of the extensions of a message; undefined if the message is unknown. */
  extensionNumbers(extendee: string): readonly number[] | undefined
}

/**
 * @param files serialized files, each after its imports. Of two with the same name, the first counts.
 * @throws Error if a file is malformed, or an import is missing.
 */
export function indexDescriptors(files: readonly Uint8Array[]): DescriptorIndex {
  const byName = new Map<string, DescriptorFile>()
  for (const bytes of files) {
    const { name, dependency: imports } = fromBinary(FileDescriptorProtoSchema, bytes)
    if (!byName.has(name)) byName.set(name, { name, bytes, imports })
  }
  const registry = parseContract(joinImage([...byName.values()].map(({ bytes }) => bytes)))
  const symbols = new Map<string, string>()
  const extensions = new Map<string, Map<number, string>>()
  for (const file of registry.files) {
    for (const type of nestedTypes(file)) {
      for (const symbol of symbolsOf(type)) symbols.set(symbol, file.proto.name)
      if (type.kind !== 'extension') continue
      const numbers = extensions.get(type.extendee.typeName) ?? new Map<number, string>()
      extensions.set(type.extendee.typeName, numbers.set(type.number, file.proto.name))
    }
  }
  const find = (name: string | undefined) => (name === undefined ? undefined : byName.get(name))
  return {
    byName: find,
    bySymbol: symbol => find(symbols.get(symbol)),
    byExtension: (extendee, number) => find(extensions.get(extendee)?.get(number)),
    extensionNumbers(extendee) {
      if (!isMessage(registry, extendee)) return undefined
      return [...(extensions.get(extendee)?.keys() ?? [])].sort((a, b) => a - b)
    },
  }
}

type NestedType = ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never

function symbolsOf(type: NestedType): string[] {
  return [type.typeName, ...membersOf(type)]
}

function membersOf(type: NestedType): string[] {
  switch (type.kind) {
    case 'service':
      return namesIn(type, type.methods)
    case 'message':
      return namesIn(type, [...type.fields, ...type.oneofs])
    case 'enum': {
      // The values of an enum are in the scope that contains it (google/protobuf/descriptor.proto, EnumValueDescriptorProto).
      const scope = type.typeName.slice(0, type.typeName.lastIndexOf('.') + 1)
      return type.values.map(({ name }) => `${scope}${name}`)
    }
    default:
      return []
  }
}

function namesIn({ typeName }: DescService | DescMessage | DescEnum, members: readonly { readonly name: string }[]) {
  return members.map(({ name }) => `${typeName}.${name}`)
}

function isMessage(registry: FileRegistry, typeName: string): boolean {
  return registry.getMessage(typeName) !== undefined
}
