/**
 * The protocol of gRPC server reflection (https://grpc.io/docs/guides/reflection/): service definitions for servers and
 * clients of @grpc/grpc-js, which @grpc/proto-loader reads from the `.proto` files of @grpc/reflection.
 */
import { fileURLToPath } from 'node:url'
import type { MethodDefinition } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition, type ServiceDefinition } from '@grpc/proto-loader'

/** The versions of the protocol, from new to old. Their messages are the same. */
export const REFLECTION_VERSIONS = ['v1', 'v1alpha'] as const

export type ReflectionVersion = (typeof REFLECTION_VERSIONS)[number]

/** One request of a stream. `messageRequest` names the field that is set; only a server needs it. */
export interface ReflectionRequest {
  readonly messageRequest?: keyof ReflectionRequest
  readonly fileByFilename?: string
  readonly fileContainingSymbol?: string
  readonly fileContainingExtension?: { readonly containingType: string; readonly extensionNumber: number }
  readonly allExtensionNumbersOfType?: string
  readonly listServices?: string
}

/** The response to one request of a stream. One of the fields after `originalRequest` is set. */
export interface ReflectionResponse {
  readonly originalRequest?: ReflectionRequest
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] }
  readonly allExtensionNumbersResponse?: { readonly baseTypeName: string; readonly extensionNumber: readonly number[] }
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] }
  readonly errorResponse?: { readonly errorCode: number; readonly errorMessage: string }
}

export type ReflectionMethod = MethodDefinition<ReflectionRequest, ReflectionResponse>

/** A version of the service. */
export interface ReflectionService {
  readonly typeName: string
  /** Path of its `.proto` file. */
  readonly protoPath: string
  readonly definition: { readonly ServerReflectionInfo: ReflectionMethod }
}

// `arrays`: an empty list is [] and not undefined.
const LOADER_OPTIONS = { longs: String, oneofs: true, arrays: true } as const

/** Returns a version of the service. Reads its `.proto` file when it is first called. */
export function reflectionService(version: ReflectionVersion): ReflectionService {
  const known = loaded.get(version)
  if (known !== undefined) return known
  const typeName = `grpc.reflection.${version}.ServerReflection`
  const url = new URL(`../proto/grpc/reflection/${version}/reflection.proto`, import.meta.resolve('@grpc/reflection'))
  const protoPath = fileURLToPath(url)
  const definition = loadSync(protoPath, LOADER_OPTIONS)[typeName] as ServiceDefinition
  const service = { typeName, protoPath, definition: definition as unknown as ReflectionService['definition'] }
  loaded.set(version, service)
  return service
}

const loaded = new Map<ReflectionVersion, ReflectionService>()

/** Returns the serialized FileDescriptorProtos of a `.proto` file, without custom options and with names in its own spelling. */
export function loadDescriptors(protoPath: string): Uint8Array[] {
  const types: PackageDefinition[string][] = Object.values(loadSync(protoPath, { keepCase: true }))
  // Each type has all files.
  const message = types.find(type => 'fileDescriptorProtos' in type)
  return message === undefined ? [] : (message.fileDescriptorProtos as Buffer[])
}
