/**
 * Decodes and validates the header blocks of responses: RFC 9113 sections 8.2 and 8.3, gRPC over HTTP/2 "Responses".
 *
 * Most responses of an upstream repeat the same few blocks, byte for byte. Unless a block uses the dynamic table, the
 * result depends on the bytes only, so it is cached by them.
 */
import { type DecodedBlock, decodeHeaderBlock } from './hpack/decoder.ts'
import type { DynamicTable, HeaderField } from './hpack/dynamic-table.ts'

/** The fields of a response header block, or of trailers, that the client reads. */
export interface ResponseHeaders {
  /** `:status`; 0 in trailers. */
  readonly httpStatus: number
  readonly isGrpc: boolean
  readonly contentType: string | undefined
  /** -1 if absent. */
  readonly contentLength: number
  readonly encoding: string | undefined
  readonly grpcStatus: string | undefined
  /** Percent-encoded. */
  readonly grpcMessage: string | undefined
  /** Base64 of a google.rpc.Status. */
  readonly grpcStatusDetails: string | undefined
  /** `grpc-retry-pushback-ms`. */
  readonly retryPushback: string | undefined
  /** Why the block is malformed; undefined if it is valid. */
  readonly malformed: string | undefined
  readonly tooLarge: boolean
}

export interface ResponseHeaderReader {
  /**
   * @param table the dynamic table of the connection.
   * @throws ConnectionError COMPRESSION_ERROR if the block cannot be decoded.
   */
  read(block: Buffer, start: number, end: number, table: DynamicTable): ResponseHeaders
}

interface CachedBlock {
  readonly block: Buffer
  readonly headers: ResponseHeaders
  /** Whether the block inserts fields into the dynamic table. Then it is decoded again unless the table stores nothing. */
  readonly inserts: boolean
}

const CACHE_SLOTS = 64
// Enough for the usual headers of a response. 64 slots hold at most 16 KiB of blocks.
const MAX_CACHED_LENGTH = 256

/**
 * Creates a reader with a direct-mapped cache: a block replaces the one in its slot.
 * @param maxListSize maximum size of a header list, in octets as RFC 9113 section 6.5.2 counts it.
 */
export function createResponseHeaderReader(maxListSize: number): ResponseHeaderReader {
  const cache: (CachedBlock | undefined)[] = new Array(CACHE_SLOTS).fill(undefined)
  return {
    read(block, start, end, table) {
      const isCacheable = end - start <= MAX_CACHED_LENGTH
      const slot = isCacheable ? hash(block, start, end) % CACHE_SLOTS : 0
      if (isCacheable) {
        const cached = cache[slot]
        const isHit = cached !== undefined && sameBytes(cached.block, block, start, end)
        if (isHit && !(cached.inserts && table.capacity > 0)) return cached.headers
      }
      const decoded = decodeHeaderBlock(block, start, end, maxListSize, table)
      const headers = validate(decoded)
      if (isCacheable && !decoded.dependsOnTable) {
        cache[slot] = { block: Buffer.from(block.subarray(start, end)), headers, inserts: decoded.inserts }
      }
      return headers
    },
  }
}

/** FNV-1a. A peer that forces collisions slows down only its own calls. */
function hash(block: Buffer, start: number, end: number): number {
  let value = 0x811c9dc5
  for (let at = start; at < end; at++) value = Math.imul(value ^ (block[at] as number), 0x01000193)
  return value >>> 0
}

function sameBytes(cached: Buffer, block: Buffer, start: number, end: number): boolean {
  if (cached.length !== end - start) return false
  for (let at = 0; at < cached.length; at++) {
    if (cached[at] !== block[start + at]) return false
  }
  return true
}

function validate({ fields, tooLarge }: DecodedBlock): ResponseHeaders {
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
    retryPushback: values.get('grpc-retry-pushback-ms'),
    malformed,
    tooLarge,
  }
}

const GRPC_CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/i
// nghttp2, and grpc-js with it, ignores a field whose name has other invalid characters.
const UPPER_CASE = /[A-Z]/
const CONNECTION_SPECIFIC = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
const FORBIDDEN_IN_VALUE = /[\0\r\n]/

interface ReadField {
  /** The form of a value. Default: any value. */
  readonly form?: RegExp
  /** Whether surrounding white space, which RFC 9113 section 8.2.1 forbids, is removed. */
  readonly trim?: true
  /** What a further field of the name does. Default: the block is malformed. */
  readonly repeated?: 'ignore' | 'join'
  /** Whether an invalid value is ignored. Default: the block is malformed. */
  readonly optional?: true
}

/** The fields that are read: strict where the response depends on them, otherwise as tolerant as grpc-js. */
const READ_FIELDS: ReadonlyMap<string, ReadField> = new Map<string, ReadField>([
  [':status', { form: /^[1-9][0-9]{2}$/ }],
  ['content-type', { trim: true, repeated: 'ignore' }],
  ['content-length', { trim: true, form: /^[0-9]{1,15}$/ }],
  ['grpc-encoding', { trim: true }],
  ['grpc-status', { trim: true }],
  // Servers percent-encode only what the specification demands: a space at the end is a part of the message.
  ['grpc-message', { repeated: 'join', optional: true }],
  ['grpc-status-details-bin', { trim: true, repeated: 'ignore', optional: true }],
  // A joined value is malformed, and a malformed one means "do not retry".
  ['grpc-retry-pushback-ms', { trim: true, repeated: 'join', optional: true }],
])

/** Copies the fields of `READ_FIELDS` to `values`. @returns why the block is malformed, or undefined. */
function collect(fields: readonly HeaderField[], values: Map<string, string>): string | undefined {
  let hasRegularField = false
  for (const [name, value] of fields) {
    if (name.startsWith(':')) {
      if (hasRegularField) return 'pseudo-header after a regular header'
      if (name !== ':status') return 'pseudo-header other than :status'
    } else {
      hasRegularField = true
      if (UPPER_CASE.test(name)) return 'invalid header name'
      if (CONNECTION_SPECIFIC.has(name)) return `connection-specific header ${name}`
    }
    const field = READ_FIELDS.get(name)
    if (field === undefined) continue
    const problem = collectField(name, value, field, values)
    if (problem !== undefined) return problem
  }
  return undefined
}

function collectField(
  name: string,
  value: string,
  { form, trim, repeated, optional }: ReadField,
  values: Map<string, string>,
): string | undefined {
  // Not a regular expression: it takes quadratic time for white space in the middle.
  const text = trim ? value.trim() : value
  if (FORBIDDEN_IN_VALUE.test(value) || form?.test(text) === false) {
    return optional ? undefined : `invalid value of ${name}`
  }
  const previous = values.get(name)
  if (previous === undefined) values.set(name, text)
  else if (repeated === 'join') values.set(name, `${previous}, ${text}`)
  else if (repeated === undefined) return `duplicate ${name}`
  return undefined
}
