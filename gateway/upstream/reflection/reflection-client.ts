/** Reads the contract of a server by gRPC server reflection: v1, or v1alpha if the server has no v1. */

import { type Client, type ClientDuplexStream, Metadata, type ServiceError } from '@grpc/grpc-js'
import { toStatusError } from '#runtime/grpc/client.ts'
import { ContractError } from '#runtime/grpc/contract.ts'
import { joinImage } from '#runtime/grpc/image.ts'
import {
  REFLECTION_VERSIONS,
  type ReflectionRequest,
  type ReflectionResponse,
  type ReflectionVersion,
  reflectionService,
} from '#runtime/grpc/reflection-protocol.ts'
import { Code, codeName } from '#runtime/status.ts'
import { bundledFile } from './bundled-files.ts'
import { createReceivedFiles, type ReceivedFiles, tooLarge } from './received-files.ts'
import type { ReflectionSettings } from './reflection-config.ts'

export interface ReflectionReadOptions extends Pick<ReflectionSettings, 'timeoutMs' | 'maxFiles' | 'maxBytes'> {
  /** Full names of the services that the server must have. */
  readonly services: readonly string[]
  /** Name of the upstream and its address, for errors. */
  readonly origin: string
}

/**
 * Reads the files of all services of a server (except reflection itself), and all files that they import. All of them come from one connection, so from one server.
 * @returns a contract image. Two reads of the same contract return the same bytes.
 * @throws ContractError if the server has no reflection or not these services, or the contract exceeds a limit; StatusError
 * if the call fails otherwise.
 */
export async function readByReflection(client: Client, options: ReflectionReadOptions): Promise<Uint8Array> {
  const deadline = Date.now() + options.timeoutMs
  for (const version of REFLECTION_VERSIONS) {
    try {
      return await readWith(openConversation(client, version, deadline), options)
    } catch (error) {
      if (isServiceError(error) && error.code === Code.UNIMPLEMENTED) continue
      throw isServiceError(error) ? toStatusError(error, options.origin) : error
    }
  }
  throw new ContractError(
    'the server does not implement reflection (grpc.reflection.v1 or v1alpha): register it there, or set `contract` to the path of an image',
  )
}

async function readWith(conversation: Conversation, options: ReflectionReadOptions): Promise<Uint8Array> {
  try {
    const files = createReceivedFiles(options)
    await readServices(conversation, files, options)
    const reasons = await readImports(conversation, files)
    const image = joinImage(files.inOrder(options.services, reasons))
    conversation.end()
    return image
  } catch (error) {
    conversation.cancel()
    throw error
  }
}

/** Reads the files of the services that gateway.yaml exposes, and of the others: a reload can expose them. */
async function readServices(
  conversation: Conversation,
  files: ReceivedFiles,
  { services, maxFiles }: ReflectionReadOptions,
): Promise<void> {
  const { listServicesResponse } = await conversation.ask({ listServices: '' })
  const listed = (listServicesResponse?.service ?? []).map(({ name }) => name).sort()
  if (listed.length > maxFiles) throw tooLarge('reflection.maxFiles', `${maxFiles} services`)
  const missing: string[] = []
  for (const service of new Set([...services, ...listed])) {
    if (files.hasService(service) || service.startsWith('grpc.reflection.')) continue
    const response = await conversation.ask({ fileContainingSymbol: service })
    files.add(filesIn(response))
    if (services.includes(service) && !files.hasService(service)) missing.push(`${service} (${reasonIn(response)})`)
  }
  if (missing.length === 0) return
  throw new ContractError(
    `the server does not return the service ${missing.join(', ')}; it has ${summary(listed) || 'no service'}`,
  )
}

/** Reads what the files import: some servers return it with the first file, others do not. @returns why files are missing. */
async function readImports(conversation: Conversation, files: ReceivedFiles): Promise<Map<string, string>> {
  const reasons = new Map<string, string>()
  for (;;) {
    const name = files.missingImports().find(candidate => !reasons.has(candidate))
    if (name === undefined) return reasons
    const response = await conversation.ask({ fileByFilename: name })
    files.add(filesIn(response))
    if (files.has(name)) continue
    const bundled = bundledFile(name)
    if (bundled === undefined) reasons.set(name, reasonIn(response))
    else files.add([bundled])
  }
}

function filesIn({ fileDescriptorResponse }: ReflectionResponse): readonly Uint8Array[] {
  return fileDescriptorResponse?.fileDescriptorProto ?? []
}

function reasonIn({ errorResponse }: ReflectionResponse): string {
  if (errorResponse === undefined) return 'the server returns something else'
  return `${codeName(errorResponse.errorCode)}: ${errorResponse.errorMessage.slice(0, MAX_REASON_LENGTH)}`
}

const MAX_REASON_LENGTH = 200
const MAX_LISTED = 20

function summary(names: readonly string[]): string {
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''
  return `${names.slice(0, MAX_LISTED).join(', ')}${more}`
}

/** A stream of requests, each of which gets one response. */
interface Conversation {
  /** @throws ServiceError of the call. */
  ask(request: ReflectionRequest): Promise<ReflectionResponse>
  end(): void
  cancel(): void
}

function openConversation(client: Client, version: ReflectionVersion, deadline: number): Conversation {
  const { path, requestSerialize, responseDeserialize } = reflectionService(version).definition.ServerReflectionInfo
  const call: ClientDuplexStream<ReflectionRequest, ReflectionResponse> = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    new Metadata(),
    { deadline },
  )
  // The error of a call that has ended here is of no interest.
  call.on('error', () => {})
  const responses = call[Symbol.asyncIterator]() as AsyncIterator<ReflectionResponse>
  return {
    async ask(request) {
      call.write(request)
      const { done, value } = await responses.next()
      if (done === true) throw new ContractError('the server ends the reflection stream without a response')
      return value
    },
    end: () => call.end(),
    cancel: () => call.cancel(),
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === 'number' && 'details' in error
}
