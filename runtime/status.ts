/**
 * The error codes of the system: gRPC status codes with google.rpc error details.
 *
 * To report an error, throw a `StatusError`, or one of the functions below that create one. From there it travels as:
 *
 * 1. gRPC server: `toGrpcError` sends code and message, with reason and quota, violations and retry delay as ErrorInfo,
 *    BadRequest and RetryInfo in `grpc-status-details-bin` (google/rpc/error_details.proto).
 * 2. gRPC client, in a service or the gateway: `fromGrpcError` restores it as a `PeerStatusError`.
 * 3. Gateway: the error becomes a problem document (RFC 9457). The gRPC code gives the HTTP status, the reason the
 *    member `code`, the message `detail`, the violations `errors`, the retry delay the header `Retry-After`, the
 *    quota the headers `RateLimit` and `RateLimit-Policy`.
 *
 * The message reaches the client only if the error has a reason, and never if the code maps to HTTP 500. An error that
 * is not a `StatusError` becomes INTERNAL.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type { Any } from '#proto/google/protobuf/any.ts'
import { BadRequest, type BadRequest_FieldViolation, ErrorInfo, RetryInfo } from '#proto/google/rpc/error_details.ts'
import { Status } from '#proto/google/rpc/status.ts'
import { fromQuotaMetadata, type Quota, toQuotaMetadata } from './quota.ts'

export { status as Code }

// Domain of ErrorInfo. A reason of another domain is not one of the documented codes and is ignored.
const ERROR_DOMAIN = 'gatehouse'

/** A field of a request that breaks a rule. */
export interface Violation {
  /** Path of the field with JSON names, such as `items[2].name`. */
  field: string
  /** The rule, as a predicate of the field: `is required`. */
  description: string
}

/** Optional parts of a StatusError. */
export interface StatusDetails {
  /** Stable code in lower snake case, such as `email_taken`. docs/errors.md lists all. */
  reason?: string
  violations?: readonly Violation[]
  /** Time after which a retry may succeed, in milliseconds. */
  retryAfterMs?: number
  /** Sent in the metadata of ErrorInfo, so it requires a reason. */
  quota?: Quota
  /** The original error. It is logged and never sent. */
  cause?: unknown
}

/** An error with a gRPC status code and a message for the client. */
export class StatusError extends Error {
  override name = 'StatusError'
  readonly code: status
  readonly reason: string | undefined
  readonly violations: readonly Violation[]
  readonly retryAfterMs: number | undefined
  readonly quota: Quota | undefined

  constructor(code: status, message: string, details: StatusDetails = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.reason = details.reason
    this.violations = details.violations ?? []
    this.retryAfterMs = details.retryAfterMs
    this.quota = details.quota
  }
}

/** A status that a peer sent with a response. Every other StatusError was created in this process. */
export class PeerStatusError extends StatusError {
  override name = 'PeerStatusError'
  /** The value of `grpc-status-details-bin`, a serialized google.rpc.Status; undefined if the peer sent none. */
  readonly packedDetails: Uint8Array | undefined

  constructor(code: status, message: string, packedDetails?: Uint8Array, cause?: unknown) {
    super(code, message, { ...(packedDetails !== undefined && unpackDetails(packedDetails)), cause })
    this.packedDetails = packedDetails
  }
}

const DETAILS = 'grpc-status-details-bin'

/**
 * Converts an error to the form that grpc-js sends. An error that is not a StatusError becomes INTERNAL with a fixed
 * message, so that its own message does not leave the process.
 */
export function toGrpcError(error: unknown): { code: status; details: string; metadata: Metadata } {
  const known = error instanceof StatusError ? error : new StatusError(status.INTERNAL, 'Internal error')
  const metadata = new Metadata()
  const details = [...packDetails(known)]
  if (details.length > 0) {
    const message = Status.encode({ code: known.code, message: known.message, details }).finish()
    metadata.set(DETAILS, Buffer.from(message))
  }
  return { code: known.code, details: known.message, metadata }
}

function* packDetails(error: StatusError): Iterable<Any> {
  if (error.reason !== undefined) {
    const metadata = toQuotaMetadata(error.quota)
    const info = ErrorInfo.encode({ reason: error.reason, domain: ERROR_DOMAIN, metadata }).finish()
    yield { typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from(info) }
  }
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.map(
      ({ field, description }): BadRequest_FieldViolation => ({
        field,
        description,
        reason: '',
        localizedMessage: undefined,
      }),
    )
    const bad = BadRequest.encode({ fieldViolations }).finish()
    yield { typeUrl: 'type.googleapis.com/google.rpc.BadRequest', value: Buffer.from(bad) }
  }
  if (error.retryAfterMs !== undefined) {
    const seconds = Math.floor(error.retryAfterMs / 1000)
    const nanos = Math.round((error.retryAfterMs % 1000) * 1e6)
    const retry = RetryInfo.encode({ retryDelay: { seconds: BigInt(seconds), nanos } }).finish()
    yield { typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: Buffer.from(retry) }
  }
}

/**
 * Converts an error of a grpc-js client, which becomes the cause. Malformed error details are ignored.
 * @returns a PeerStatusError if the peer certainly sent the status.
 */
export function fromGrpcError(error: ServiceError): StatusError {
  const packed = error.metadata?.get(DETAILS)[0]
  if (isPeerStatus(error)) {
    return new PeerStatusError(error.code, error.details, packed instanceof Buffer ? packed : undefined, error)
  }
  return new StatusError(error.code, error.details, { cause: error })
}

/** Codes that no gRPC library creates itself (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const CODES_OF_PEERS: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.DATA_LOSS,
])

/** Codes of HTTP 4xx that grpc-js creates as well. */
const SHARED_CODES: ReadonlySet<status> = new Set([
  status.CANCELLED,
  status.PERMISSION_DENIED,
  status.RESOURCE_EXHAUSTED,
  status.UNAUTHENTICATED,
])

/** The beginnings of all texts that grpc-js sends with these codes (1.14.7; test/runtime/grpc/status-origin.test.ts). */
const TEXTS_OF_GRPC_JS =
  /^(?:Received HTTP status code |Received message (?:larger|that decompresses)|Attempted to send message |Bandwidth exhausted or |Protocol not secure enough|Cancelled (?:on client|by parent call)|Call cancelled|Discarded in favor of )/

/**
 * grpc-js does not say whether it created a status. Its own have no metadata, except for that of an HTTP response without
 * grpc-status. A status of a peer has metadata if it came with `content-type` (Trailers-Only) or with further trailers.
 * Without them, at the end of a stream for example, the text decides where the message of a peer is of use: for a 4xx.
 */
function isPeerStatus({ code, details, metadata }: ServiceError): boolean {
  if (CODES_OF_PEERS.has(code)) return true
  if (SHARED_CODES.has(code)) return !TEXTS_OF_GRPC_JS.test(details)
  const hasMetadata = metadata !== undefined && Object.keys(metadata.getMap()).length > 0
  return hasMetadata && !details.startsWith('Received HTTP status code ')
}

/**
 * Decodes the value of `grpc-status-details-bin`, a serialized google.rpc.Status.
 * @returns an empty object if the value is malformed.
 */
function unpackDetails(packed: Uint8Array): StatusDetails {
  const found: StatusDetails = {}
  try {
    for (const { typeUrl, value } of Status.decode(packed).details) {
      if (typeUrl.endsWith('/google.rpc.ErrorInfo')) {
        const info = ErrorInfo.decode(value)
        if (info.domain !== ERROR_DOMAIN) continue
        found.reason = info.reason
        const quota = fromQuotaMetadata(info.metadata)
        if (quota !== undefined) found.quota = quota
      } else if (typeUrl.endsWith('/google.rpc.BadRequest')) {
        const { fieldViolations } = BadRequest.decode(value)
        found.violations = fieldViolations.map(({ field, description }) => ({ field, description }))
      } else if (typeUrl.endsWith('/google.rpc.RetryInfo')) {
        const delay = RetryInfo.decode(value).retryDelay
        if (delay) found.retryAfterMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6
      }
    }
  } catch {
    return {}
  }
  return found
}

/** Returns the name of a gRPC code, such as `NOT_FOUND`; `UNKNOWN` for a number outside of the specification. */
export function codeName(code: number): string {
  return status[code] ?? 'UNKNOWN'
}

/** Maximum number of violations in one error. A request of 1 MB can have 100,000 of them; the response stays small. */
export const MAX_VIOLATIONS = 100

const MAX_NAMED_FIELDS = 10

/**
 * Creates INVALID_ARGUMENT with the reason `invalid_argument`.
 * @param all the violations; the first 100 are sent, and the message names the first 10 fields.
 */
export function invalidArgument(all: readonly Violation[]): StatusError {
  const violations = all.slice(0, MAX_VIOLATIONS)
  const fields = [...new Set(all.map(({ field }) => field))]
  const named = fields.slice(0, MAX_NAMED_FIELDS)
  const more = fields.length > MAX_NAMED_FIELDS ? ` and ${fields.length - MAX_NAMED_FIELDS} more` : ''
  const message = `Invalid fields: ${named.join(', ')}${more}`
  return new StatusError(status.INVALID_ARGUMENT, message, { reason: 'invalid_argument', violations })
}

/** Creates UNAUTHENTICATED. The reason is `unauthenticated` if the credentials are missing. */
export function unauthenticated(reason: string, message: string): StatusError {
  return new StatusError(status.UNAUTHENTICATED, message, { reason })
}

/** Creates PERMISSION_DENIED with the reason `permission_denied`. */
export function permissionDenied(message: string): StatusError {
  return new StatusError(status.PERMISSION_DENIED, message, { reason: 'permission_denied' })
}

/**
 * Creates NOT_FOUND with the reason `not_found`. Also for an object that the caller may not see.
 * @param what the kind of object, such as `document`.
 */
export function notFound(what: string): StatusError {
  return new StatusError(status.NOT_FOUND, `There is no such ${what}`, { reason: 'not_found' })
}

/** Creates UNAVAILABLE with the reason `unavailable`, unless `details` has another. Clients may retry. */
export function unavailable(message: string, details: StatusDetails = {}): StatusError {
  return new StatusError(status.UNAVAILABLE, message, { reason: 'unavailable', ...details })
}
