/**
 * The header block of a request, gRPC over HTTP/2 "Requests". What is the same for each call of a method is encoded once;
 * a call adds its timeout and metadata, which are checked here, before any byte of them is on the wire.
 */
import { Code, StatusError } from '#runtime/status.ts'
import type { CallMetadata } from '../transport.ts'
import { indexed, literal, literalName, MAX_INTEGER_LENGTH, SIZE_UPDATE_TO_ZERO, writeString } from './hpack/encoder.ts'
import { isMetadataKey, isMetadataValue } from './metadata-rules.ts'

// Indices of the static table, RFC 7541 appendix A.
const INDEX = { authority: 1, methodPost: 3, path: 4, schemeHttp: 6, schemeHttps: 7, contentType: 31, userAgent: 58 }
const NEVER_INDEXED: ReadonlyMap<string, number> = new Map([
  ['authorization', 23],
  ['cookie', 32],
  ['proxy-authorization', 49],
])

/** Octets of one request's headers, which the peer's own SETTINGS_MAX_HEADER_LIST_SIZE may narrow. */
const MAX_HEAD_LENGTH = 256 * 1024
// Names and methods come from the contract and the gateway's own code; the bounds are for the day they do not.
const MAX_REMEMBERED = 4096

export interface RequestHeadOptions {
  authority: string
  secure: boolean
  userAgent: string
}

export interface EncodedHead {
  /** Valid until the next head is encoded. */
  readonly bytes: Buffer
  /** Byte 0 is the table size update that only a connection's first block needs; the head follows it. */
  readonly length: number
  /** As SETTINGS_MAX_HEADER_LIST_SIZE counts, or a little above. */
  readonly listSize: number
}

export interface RequestHeads {
  /**
   * @param timeoutMs Infinity for none.
   * @throws StatusError INTERNAL for a method or metadata that may not go on the wire.
   */
  encode(method: string, metadata: CallMetadata, timeoutMs: number): EncodedHead
}

export function createRequestHeads({ authority, secure, userAgent }: RequestHeadOptions): RequestHeads {
  if (!VISIBLE.test(authority)) throw new TypeError(`${JSON.stringify(authority)} is not an authority`)
  const methods = new Map<string, Buffer>()
  const names = new Map<string, Buffer>()
  const rest = Buffer.concat([
    indexed(secure ? INDEX.schemeHttps : INDEX.schemeHttp),
    literal(INDEX.authority, authority),
    literal('te', 'trailers'),
    literal(INDEX.contentType, 'application/grpc'),
    literal(INDEX.userAgent, userAgent),
    literal('grpc-accept-encoding', 'identity,gzip'),
  ])
  const head = { bytes: Buffer.allocUnsafeSlow(4096), length: 0, listSize: 0 }

  function methodPart(method: string): Buffer {
    if (!PATH.test(method)) throw refused(`${JSON.stringify(method)} is not a method's path`)
    const part = Buffer.concat([indexed(INDEX.methodPost), literal(INDEX.path, method), rest])
    return remember(methods, method, part)
  }

  function namePart(name: string): Buffer {
    if (!isMetadataKey(name)) throw refused(`${JSON.stringify(name)} is not a metadata key that a call may carry`)
    const index = NEVER_INDEXED.get(name)
    return remember(names, name, literalName(index ?? name, index !== undefined))
  }

  function makeRoom(length: number): void {
    if (length <= head.bytes.length) return
    if (length > MAX_HEAD_LENGTH) throw new StatusError(Code.RESOURCE_EXHAUSTED, 'The metadata of a call is too large')
    const larger = Buffer.allocUnsafeSlow(Math.min(2 ** Math.ceil(Math.log2(length)), MAX_HEAD_LENGTH))
    head.bytes.copy(larger)
    head.bytes = larger
  }

  return {
    encode(method, metadata, timeoutMs) {
      const start = methods.get(method) ?? methodPart(method)
      makeRoom(1 + start.length + TIMEOUT.length + 1 + MAX_TIMEOUT_LENGTH)
      head.bytes[0] = SIZE_UPDATE_TO_ZERO
      let at = 1 + start.copy(head.bytes, 1)
      let fields = STATIC_FIELDS
      if (timeoutMs !== Infinity) at = writeTimeout(head.bytes, at, timeoutMs)
      for (const key in metadata) {
        const name = names.get(key) ?? namePart(key)
        const value = metadata[key] as string
        if (!isMetadataValue(key, value)) throw refused(`The metadata value of ${key} may not go on the wire`)
        makeRoom(at + name.length + MAX_INTEGER_LENGTH + value.length)
        at += name.copy(head.bytes, at)
        at = writeString(head.bytes, at, value)
        fields++
      }
      head.length = at
      // The static table's names that are not spelt out, such as `:authority`, add less than 64 octets.
      head.listSize = at + 64 + fields * 32
      return head
    },
  }
}

const VISIBLE = /^[\x21-\x7e]+$/
const PATH = /^\/[\x21-\x7e]+$/
const STATIC_FIELDS = 9

const TIMEOUT = literalName('grpc-timeout')
const MAX_TIMEOUT_LENGTH = 9
// Units from fine to coarse; TimeoutValue has at most 8 digits.
const UNITS = [
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const

/** Rounded up, so that the server does not give up before we do. @param timeoutMs above 0. */
function writeTimeout(into: Buffer, at: number, timeoutMs: number): number {
  at += TIMEOUT.copy(into, at)
  for (const [unit, length] of UNITS) {
    const value = Math.ceil(timeoutMs / length)
    if (value <= 99_999_999 || unit === 'H') return writeString(into, at, `${Math.min(value, 99_999_999)}${unit}`)
  }
  return at
}

function remember(memory: Map<string, Buffer>, key: string, value: Buffer): Buffer {
  if (memory.size >= MAX_REMEMBERED) memory.clear()
  memory.set(key, value)
  return value
}

function refused(message: string): StatusError {
  return new StatusError(Code.INTERNAL, message)
}
