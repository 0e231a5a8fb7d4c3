/**
 * What a response's header block says, read strictly: RFC 9113 sections 8.2 and 8.3, gRPC over HTTP/2 "Responses".
 *
 * Most answers of an upstream come with the same few blocks, byte for byte. As blocks carry no state, what one says is
 * remembered by its bytes.
 */
import { decodeHeaderBlock, type HeaderField } from './hpack/decoder.ts'

export interface ResponseHead {
  /** `:status`; 0 for trailers, which have none. */
  readonly httpStatus: number
  /** Whether the content type is gRPC's; an answer without it is not read any further. */
  readonly isGrpc: boolean
  readonly contentType: string | undefined
  /** -1 where it is not told. */
  readonly contentLength: number
  /** `grpc-encoding`. */
  readonly encoding: string | undefined
  readonly grpcStatus: string | undefined
  /** Percent-encoded. */
  readonly grpcMessage: string | undefined
  /** Base64. */
  readonly grpcStatusDetails: string | undefined
  /** Why the block may not be believed. */
  readonly malformed: string | undefined
  readonly tooLarge: boolean
}

export interface ResponseHeadReader {
  /** @throws ConnectionError COMPRESSION_ERROR */
  read(block: Buffer, start: number, end: number): ResponseHead
}

const SLOTS = 64
// Room for a head with an answer's usual headers. At 64 slots a reader holds 16 KB of blocks at most.
const MAX_REMEMBERED_LENGTH = 256

/** One table slot for each hash, overwritten by the next block that falls into it: bounded, with nothing to evict. */
export function createResponseHeadReader(maxListSize: number): ResponseHeadReader {
  const memory: ({ readonly block: Buffer; readonly head: ResponseHead } | undefined)[] = new Array(SLOTS).fill(
    undefined,
  )
  return {
    read(block, start, end) {
      if (end - start > MAX_REMEMBERED_LENGTH) return parse(block, start, end, maxListSize)
      const slot = hash(block, start, end) % SLOTS
      const known = memory[slot]
      if (known !== undefined && sameBytes(known.block, block, start, end)) return known.head
      const head = parse(block, start, end, maxListSize)
      memory[slot] = { block: Buffer.from(block.subarray(start, end)), head }
      return head
    },
  }
}

/** FNV-1a. A peer that makes its blocks collide only makes itself slower. */
function hash(block: Buffer, start: number, end: number): number {
  let value = 0x811c9dc5
  for (let at = start; at < end; at++) value = Math.imul(value ^ (block[at] as number), 0x01000193)
  return value >>> 0
}

function sameBytes(known: Buffer, block: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  for (let at = 0; at < known.length; at++) {
    if (known[at] !== block[start + at]) return false
  }
  return true
}

function parse(block: Buffer, start: number, end: number, maxListSize: number): ResponseHead {
  const { fields, tooLarge } = decodeHeaderBlock(block, start, end, maxListSize)
  const values = new Map<string, string>()
  const malformed = collect(fields, values)
  const contentType = values.get('content-type')
  return {
    httpStatus: Number(values.get(':status') ?? 0),
    isGrpc: contentType !== undefined && GRPC_CONTENT_TYPE.test(contentType),
    contentType,
    contentLength: Number(values.get('content-length') ?? -1),
    encoding: values.get('grpc-encoding'),
    grpcStatus: values.get('grpc-status'),
    grpcMessage: values.get('grpc-message'),
    grpcStatusDetails: values.get('grpc-status-details-bin'),
    malformed,
    tooLarge,
  }
}

const GRPC_CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/i
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const FORBIDDEN_IN_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/
const CONNECTION_SPECIFIC = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
const SINGLE: ReadonlyMap<string, RegExp> = new Map([
  [':status', /^[1-9][0-9]{2}$/],
  ['content-type', /^/],
  ['content-length', /^[0-9]{1,15}$/],
  ['grpc-encoding', /^/],
  ['grpc-status', /^/],
  ['grpc-message', /^/],
  ['grpc-status-details-bin', /^/],
])

/** @returns why the fields are malformed, if they are. */
function collect(fields: readonly HeaderField[], values: Map<string, string>): string | undefined {
  let regular = false
  for (const [name, value] of fields) {
    if (name.startsWith(':')) {
      if (regular) return 'a pseudo-header stands behind other headers'
      if (name !== ':status') return 'it has a pseudo-header that no response has'
    } else {
      regular = true
      if (!FIELD_NAME.test(name)) return 'a header name is not valid'
      if (CONNECTION_SPECIFIC.has(name)) return `it has the header ${name}, which HTTP/2 forbids`
    }
    if (FORBIDDEN_IN_VALUE.test(value)) return `the value of ${name} is not valid`
    const form = SINGLE.get(name)
    if (form === undefined) continue
    if (!form.test(value)) return `the value of ${name} is not valid`
    if (values.has(name)) return `it has ${name} twice`
    values.set(name, value)
  }
  return undefined
}
