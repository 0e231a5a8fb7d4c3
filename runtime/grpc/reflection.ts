/**
 * Server reflection, v1 and v1alpha, from the descriptors of a contract image as they are: custom options, such as the
 * policies of edge.v1, stay. (@grpc/reflection and @grpc/proto-loader 0.8.1 drop them.)
 */
import { type Server, type ServerDuplexStream, status } from '@grpc/grpc-js'
import { type DescriptorFile, type DescriptorIndex, indexDescriptors } from './descriptor-index.ts'
import { splitImage } from './image.ts'
import {
  loadDescriptors,
  REFLECTION_VERSIONS,
  type ReflectionRequest,
  type ReflectionResponse,
  reflectionService,
} from './reflection-protocol.ts'
import { repairDescriptors } from './repaired-descriptors.ts'

type ReflectionCall = ServerDuplexStream<ReflectionRequest, ReflectionResponse>

export interface ReflectionOptions {
  /** A serialized FileDescriptorSet. */
  readonly image: Uint8Array
  /** Returns the full names of the services to list. */
  readonly services: () => readonly string[]
  /** Paths of the `.proto` files of services that are not in the image. They import no file. */
  readonly protoPaths: readonly string[]
}

export interface Reflection {
  /** Ends the streams of clients with UNAVAILABLE. A graceful stop waits for them. */
  endStreams(): void
}

/** Adds the reflection services to a server. @throws Error if the image is malformed. */
export function addReflection(server: Pick<Server, 'addService'>, options: ReflectionOptions): Reflection {
  const versions = REFLECTION_VERSIONS.map(reflectionService)
  const protoPaths = [...options.protoPaths, ...versions.map(({ protoPath }) => protoPath)]
  const loaded = protoPaths.flatMap(path => repairDescriptors(loadDescriptors(path)))
  const index = indexDescriptors([...splitImage(options.image), ...loaded])
  const services = () => [...options.services(), ...versions.map(({ typeName }) => typeName)].sort()
  const calls = new Set<ReflectionCall>()

  function serve(call: ReflectionCall): void {
    /** Names of the files that the client has. */
    const sent = new Set<string>()
    calls.add(call)
    call.on('data', (originalRequest: ReflectionRequest) => {
      const hasRoom = call.write({ originalRequest, ...respond(originalRequest, index, services, sent) })
      if (hasRoom) return
      call.pause()
      call.once('drain', () => call.resume())
    })
    call.on('end', () => call.end())
    call.on('close', () => calls.delete(call))
    call.on('cancelled', () => calls.delete(call))
  }

  for (const { definition } of versions)
    server.addService(definition as never, { ServerReflectionInfo: serve as never })
  return {
    endStreams() {
      for (const call of calls) call.emit('error', { code: status.UNAVAILABLE, details: 'The server stops' })
    },
  }
}

function respond(
  request: ReflectionRequest,
  index: DescriptorIndex,
  services: () => readonly string[],
  sent: Set<string>,
): ReflectionResponse {
  const { fileByFilename = '', fileContainingSymbol = '', allExtensionNumbersOfType = '' } = request
  switch (request.messageRequest) {
    case 'listServices':
      return { listServicesResponse: { service: services().map(name => ({ name })) } }
    case 'fileByFilename':
      return fileResponse(index.byName(fileByFilename), `file ${fileByFilename}`)
    case 'fileContainingSymbol':
      return fileResponse(index.bySymbol(fileContainingSymbol), `symbol ${fileContainingSymbol}`)
    case 'fileContainingExtension': {
      const { containingType = '', extensionNumber = 0 } = request.fileContainingExtension ?? {}
      const what = `extension ${extensionNumber} of ${containingType}`
      return fileResponse(index.byExtension(containingType, extensionNumber), what)
    }
    case 'allExtensionNumbersOfType': {
      const extensionNumber = index.extensionNumbers(allExtensionNumbersOfType)
      if (extensionNumber === undefined) return notFound(`message ${allExtensionNumbersOfType}`)
      return { allExtensionNumbersResponse: { baseTypeName: allExtensionNumbersOfType, extensionNumber } }
    }
    default:
      return { errorResponse: { errorCode: status.INVALID_ARGUMENT, errorMessage: 'The request is empty' } }
  }

  /** The file, and those of its imports that this stream has not sent. */
  function fileResponse(file: DescriptorFile | undefined, what: string): ReflectionResponse {
    if (file === undefined) return notFound(what)
    sent.delete(file.name)
    return { fileDescriptorResponse: { fileDescriptorProto: [...unsent(file)] } }
  }

  function* unsent(file: DescriptorFile): Iterable<Uint8Array> {
    if (sent.has(file.name)) return
    sent.add(file.name)
    yield file.bytes
    for (const name of file.imports) yield* unsent(index.byName(name) as DescriptorFile)
  }
}

function notFound(what: string): ReflectionResponse {
  return { errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `There is no ${what}` } }
}
