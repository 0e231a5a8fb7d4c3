/** The files of a contract as a reflection server returns them: in any order, each with or without the files it imports. */
import { fromBinary } from '@bufbuild/protobuf'
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { ContractError } from '#runtime/grpc/contract.ts'
import { repairDescriptors } from '#runtime/grpc/repaired-descriptors.ts'
import type { ReflectionSettings } from './reflection-config.ts'

export interface ReceivedFiles {
  /** Adds serialized FileDescriptorProtos. @throws ContractError if one is malformed, or all together exceed a limit. */
  add(files: readonly Uint8Array[]): void
  has(name: string): boolean
  /** Whether a file declares the service. */
  hasService(typeName: string): boolean
  /** Returns the imports whose file is missing. */
  missingImports(): string[]
  /**
   * Returns each file after those that it imports, with the names of @grpc/reflection repaired. The result depends on the set of files only. A file without all of its
   * imports is left out.
   * @param reasons why a file is missing, by its name.
   * @throws ContractError if a file that declares one of the services is without its imports, or imports itself.
   */
  inOrder(services: readonly string[], reasons: ReadonlyMap<string, string>): Uint8Array[]
}

interface File {
  readonly name: string
  readonly bytes: Uint8Array
  readonly imports: readonly string[]
  readonly services: readonly string[]
}

export function createReceivedFiles({
  maxFiles,
  maxBytes,
}: Pick<ReflectionSettings, 'maxFiles' | 'maxBytes'>): ReceivedFiles {
  const files = new Map<string, File>()
  let receivedBytes = 0

  function addFile(bytes: Uint8Array): void {
    receivedBytes += bytes.length
    if (receivedBytes > maxBytes) throw tooLarge('reflection.maxBytes', `${maxBytes} bytes`)
    const file = parseFile(bytes)
    if (files.has(file.name)) return
    if (files.size === maxFiles) throw tooLarge('reflection.maxFiles', `${maxFiles} files`)
    files.set(file.name, file)
  }

  function repair(): void {
    for (const bytes of repairDescriptors([...files.values()].map(file => file.bytes))) {
      const file = parseFile(bytes)
      files.set(file.name, file)
    }
  }

  /** @throws ContractError if an import is missing, or the file imports itself. */
  function collect(name: string, ordered: Map<string, Uint8Array>, importers: readonly string[], why: Reasons): void {
    if (ordered.has(name)) return
    const file = files.get(name)
    if (file === undefined) {
      const reason = why.get(name) ?? 'the server does not return it'
      throw new ContractError(`the file ${name}, which ${importers.at(-1)} imports, is missing: ${reason}`)
    }
    if (importers.includes(name)) throw new ContractError(`the file ${name} imports itself`)
    for (const imported of file.imports) collect(imported, ordered, [...importers, name], why)
    ordered.set(name, file.bytes)
  }

  return {
    add(all) {
      for (const bytes of all) addFile(bytes)
    },
    has: name => files.has(name),
    hasService: typeName => [...files.values()].some(({ services }) => services.includes(typeName)),
    missingImports() {
      const imports = new Set([...files.values()].flatMap(file => file.imports))
      return [...imports].filter(name => !files.has(name))
    },
    inOrder(services, reasons) {
      repair()
      const ordered = new Map<string, Uint8Array>()
      for (const [name, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const isRequired = file.services.some(service => services.includes(service))
        try {
          collect(name, ordered, [], reasons)
        } catch (error) {
          if (isRequired) throw error
        }
      }
      return [...ordered.values()]
    },
  }
}

type Reasons = ReadonlyMap<string, string>

function parseFile(bytes: Uint8Array): File {
  try {
    const file = fromBinary(FileDescriptorProtoSchema, bytes)
    return { name: file.name, bytes, imports: file.dependency, services: servicesOf(file) }
  } catch (cause) {
    throw new ContractError(`the server returns a malformed descriptor: ${(cause as Error).message}`, { cause })
  }
}

function servicesOf({ package: scope, service }: FileDescriptorProto): string[] {
  return service.map(({ name }) => (scope === '' ? name : `${scope}.${name}`))
}

/** @param setting the limit in gateway.yaml. */
export function tooLarge(setting: string, limit: string): ContractError {
  return new ContractError(`the contract is larger than ${limit}: raise ${setting} of the upstream if that is right`)
}
