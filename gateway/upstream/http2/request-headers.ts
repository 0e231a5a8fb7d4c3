/**
 * Encodes the header block of a request (gRPC over HTTP/2, "Requests"). The fields that all calls of a method share are
 * encoded once; each call adds its timeout and metadata, which are validated before anything is written.
 */
import { Code, StatusError } from '#runtime/status.ts'
import type { CallMetadata } from '../transport.ts'
import { indexed, literal, literalName, MAX_INTEGER_LENGTH, SIZE_UPDATE_TO_ZERO, writeString } from './hpack/encoder.ts'
import { isMetadataKey, isMetadataValue } from './metadata-rules.ts'

// Indices of the static table, RFC 7541 appendix A.
const INDEX = { authority: 1, methodPost: 3, path: 4, schemeHttp: 6, schemeHttps: 7, contentType: 31, userAgent: 58 }
// Credentials must not enter the compression table of an intermediary, RFC 7541 section 7.1.3.
const NEVER_INDEXED: ReadonlyMap<string, number> = new Map([
  ['authorization', 23],
  ['cookie', 32],
  ['proxy-authorization', 49],
])

/** Maximum length of one header block, in octets. The peer's SETTINGS_MAX_HEADER_LIST_SIZE may be lower. */
const MAX_BLOCK_LENGTH = 256 * 1024
const INITIAL_CAPACITY = 4096
// A safeguard: methods and metadata keys come from the contract and the code of the gateway.
const MAX_CACHED = 4096

export interface RequestHeaderEncoderOptions {
  authority: string
  /** Whether `:scheme` is `https`. */
  secure: boolean
  userAgent: string
}

export interface EncodedHeaders {
  /** Valid until the next call of `encode`. */
  readonly bytes: Buffer
  /** Octet 0 is a table size update, sent in the first block of a connection only. The fields start at octet 1. */
  readonly length: number
  /** Upper bound of the size as RFC 9113 section 6.5.2 counts it. */
  readonly listSize: number
}

export interface RequestHeaderEncoder {
  /**
   * @param timeoutMs Infinity for no timeout.
   * @throws StatusError INTERNAL for an invalid method or invalid metadata, RESOURCE_EXHAUSTED above 256 KiB.
   */
  encode(method: string, metadata: CallMetadata, timeoutMs: number): EncodedHeaders
}

/** @throws TypeError for an invalid authority. */
export function createRequestHeaderEncoder(options: RequestHeaderEncoderOptions): RequestHeaderEncoder {
  const { authority, secure, userAgent } = options
  if (!AUTHORITY.test(authority)) throw new TypeError(`${JSON.stringify(authority)} is not a valid authority`)
  const methods = new Map<string, Buffer>()
  const names = new Map<string, Buffer>()
  const sharedFields = Buffer.concat([
    indexed(secure ? INDEX.schemeHttps : INDEX.schemeHttp),
    literal(INDEX.authority, authority),
    literal('te', 'trailers'),
    literal(INDEX.contentType, 'application/grpc'),
    literal(INDEX.userAgent, userAgent),
    literal('grpc-accept-encoding', 'identity,gzip'),
  ])
  const headers = { bytes: Buffer.allocUnsafeSlow(INITIAL_CAPACITY), length: 0, listSize: 0 }

  function encodeMethod(method: string): Buffer {
    if (!PATH.test(method)) throw invalid(`${JSON.stringify(method)} is not a valid method path`)
    const fields = Buffer.concat([indexed(INDEX.methodPost), literal(INDEX.path, method), sharedFields])
    return cache(methods, method, fields)
  }

  function encodeName(name: string): Buffer {
    if (!isMetadataKey(name)) throw invalid(`${JSON.stringify(name)} is not a valid metadata key`)
    const index = NEVER_INDEXED.get(name)
    return cache(names, name, literalName(index ?? name, index !== undefined))
  }

  function ensureCapacity(length: number): void {
    if (length <= headers.bytes.length) return
    if (length > MAX_BLOCK_LENGTH)
      throw new StatusError(Code.RESOURCE_EXHAUSTED, 'The metadata of the call is too large')
    const larger = Buffer.allocUnsafeSlow(Math.min(2 ** Math.ceil(Math.log2(length)), MAX_BLOCK_LENGTH))
    headers.bytes.copy(larger)
    headers.bytes = larger
  }

  return {
    encode(method, metadata, timeoutMs) {
      const start = methods.get(method) ?? encodeMethod(method)
      ensureCapacity(1 + start.length + TIMEOUT.length + 1 + MAX_TIMEOUT_LENGTH)
      headers.bytes[0] = SIZE_UPDATE_TO_ZERO
      let at = 1 + start.copy(headers.bytes, 1)
      let fields = SHARED_FIELD_COUNT
      if (timeoutMs !== Infinity) at = writeTimeout(headers.bytes, at, timeoutMs)
      for (const key in metadata) {
        const name = names.get(key) ?? encodeName(key)
        const value = metadata[key] as string
        if (!isMetadataValue(key, value)) throw invalid(`The value of the metadata key ${key} is invalid`)
        ensureCapacity(at + name.length + MAX_INTEGER_LENGTH + value.length)
        at += name.copy(headers.bytes, at)
        at = writeString(headers.bytes, at, value)
        fields++
      }
      headers.length = at
      // Indexed names such as `:authority` add less than 64 octets in full.
      headers.listSize = at + 64 + fields * 32
      return headers
    },
  }
}

const AUTHORITY = /^[\x21-\x7e]+$/
const PATH = /^\/[\x21-\x7e]+$/
/** Fields of every request, including grpc-timeout. */
const SHARED_FIELD_COUNT = 9

const TIMEOUT = literalName('grpc-timeout')
const MAX_TIMEOUT_LENGTH = 9
const MAX_TIMEOUT_VALUE = 99_999_999
// From fine to coarse. A TimeoutValue has at most 8 digits.
const UNITS = [
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const

/** Rounds up, so that the server does not end the call before the client does. @param timeoutMs above 0. */
function writeTimeout(into: Buffer, at: number, timeoutMs: number): number {
  at += TIMEOUT.copy(into, at)
  for (const [unit, unitMs] of UNITS) {
    const value = Math.ceil(timeoutMs / unitMs)
    if (value <= MAX_TIMEOUT_VALUE || unit === 'H') {
      return writeString(into, at, `${Math.min(value, MAX_TIMEOUT_VALUE)}${unit}`)
    }
  }
  return at
}

function cache(entries: Map<string, Buffer>, key: string, value: Buffer): Buffer {
  if (entries.size >= MAX_CACHED) entries.clear()
  entries.set(key, value)
  return value
}

function invalid(message: string): StatusError {
  return new StatusError(Code.INTERNAL, message)
}
