/**
 * Completes descriptors that @bufbuild/protobuf or grpc-go would misread. Those that @grpc/proto-loader creates, and that
 * @grpc/reflection therefore serves:
 *
 * - They name types relative to their scope: `Item` instead of `.shop.v1.Item`.
 * - They do not say which files they import.
 * - The entry type of a map field `labels` is `Labels` instead of `LabelsEntry`.
 *
 * In these and in those of protoc for C++, Java, Python and others, fields have no JSON name.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { protoCamelCase } from '@bufbuild/protobuf/reflect'
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'

/**
 * Replaces relative type names by full ones, and adds the imports of a file that has none, missing JSON names, and the names
 * of map entries.
 * @param files serialized FileDescriptorProtos that contain all types that they refer to.
 * @returns the same bytes for each file that needs no repair. An unknown name stays as it is.
 * @throws Error if a file is malformed.
 */
export function repairDescriptors(files: readonly Uint8Array[]): Uint8Array[] {
  const decoded = files.map(file => fromBinary(FileDescriptorProtoSchema, file))
  /** Name of a type -> name of its file. */
  const types = new Map(decoded.flatMap(file => typesOf(file).map(type => [type, file.name])))
  return decoded.map((file, index) =>
    repairFile(file, types) ? toBinary(FileDescriptorProtoSchema, file) : (files[index] as Uint8Array),
  )
}

function typesOf({ package: scope, messageType, enumType }: FileDescriptorProto): string[] {
  return [
    ...messageType.flatMap(message => nestedTypes(message, scope)),
    ...enumType.map(({ name }) => join(scope, name)),
  ]
}

function nestedTypes({ name, nestedType, enumType }: DescriptorProto, scope: string): string[] {
  const own = join(scope, name)
  return [own, ...nestedType.flatMap(nested => nestedTypes(nested, own)), ...enumType.map(type => join(own, type.name))]
}

function join(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`
}

/** @returns whether a name has changed. */
function repairFile(file: FileDescriptorProto, types: ReadonlyMap<string, string>): boolean {
  let hasChanged = false
  const hasImports = file.dependency.length > 0

  function qualified(name: string, scope: string): string {
    const isFull = name.startsWith('.')
    const candidates = isFull ? [name.slice(1)] : scopesOf(scope).map(candidate => join(candidate, name))
    const found = candidates.find(candidate => types.has(candidate))
    if (found === undefined) return name
    importType(found)
    if (isFull) return name
    hasChanged = true
    return `.${found}`
  }

  function importType(type: string): void {
    const source = types.get(type)
    if (hasImports || source === undefined || source === file.name || file.dependency.includes(source)) return
    file.dependency.push(source)
    hasChanged = true
  }

  function qualifyField(field: FieldDescriptorProto, scope: string): void {
    if (field.jsonName === '') {
      field.jsonName = protoCamelCase(field.name)
      hasChanged = true
    }
    // Both fields have presence: an empty name must not be set.
    if (field.typeName !== '') field.typeName = qualified(field.typeName, scope)
    if (field.extendee !== '') field.extendee = qualified(field.extendee, scope)
  }

  function qualifyMessage({ name, field, extension, nestedType }: DescriptorProto, scope: string): void {
    const own = join(scope, name)
    for (const each of [...field, ...extension]) qualifyField(each, own)
    for (const nested of nestedType) qualifyMessage(nested, own)
    for (const entry of nestedType.filter(({ options }) => options?.mapEntry)) renameEntry(entry, field, own)
  }

  function renameEntry(entry: DescriptorProto, fields: readonly FieldDescriptorProto[], scope: string): void {
    const field = fields.find(({ typeName }) => typeName === `.${join(scope, entry.name)}`)
    if (field === undefined) return
    const name = `${pascalCase(field.name)}Entry`
    if (name === entry.name) return
    entry.name = name
    field.typeName = `.${join(scope, name)}`
    hasChanged = true
  }

  for (const message of file.messageType) qualifyMessage(message, file.package)
  for (const extension of file.extension) qualifyField(extension, file.package)
  for (const method of file.service.flatMap(service => service.method)) {
    method.inputType = qualified(method.inputType, file.package)
    method.outputType = qualified(method.outputType, file.package)
  }
  return hasChanged
}

/** The scopes in which a name is looked up, from the innermost to the root: `a.b`, `a`, ``. */
function scopesOf(scope: string): string[] {
  const parts = scope === '' ? [] : scope.split('.')
  return [...parts.map((_, index) => parts.slice(0, parts.length - index).join('.')), '']
}

function pascalCase(name: string): string {
  return name.replace(/(?:^|_)(.)/g, (_, first: string) => first.toUpperCase())
}
