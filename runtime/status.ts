/**
 * Errors as gRPC has them: a code, a message that a client may read, and google.rpc details. A service throws
 * `StatusError`; the gateway turns it into a problem document.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type { Any } from '#proto/google/protobuf/any.ts'
import { BadRequest, type BadRequest_FieldViolation, ErrorInfo, RetryInfo } from '#proto/google/rpc/error_details.ts'
import { Status } from '#proto/google/rpc/status.ts'

export { status as Code }

/** The domain of our ErrorInfo: a reason of another domain is not one of our stable codes. */
const ERROR_DOMAIN = 'gatehouse'

export interface Violation {
  /** Path of the field in the request as its JSON names it, such as `items[2].name`. */
  field: string
  description: string
}

export interface StatusDetails {
  /** Stable, lower snake case, such as `email_taken`; it becomes the problem's `code`. */
  reason?: string
  violations?: readonly Violation[]
  retryAfterMs?: number
  cause?: unknown
}

export class StatusError extends Error {
  override name = 'StatusError'
  readonly code: status
  readonly reason: string | undefined
  readonly violations: readonly Violation[]
  readonly retryAfterMs: number | undefined

  constructor(code: status, message: string, details: StatusDetails = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.reason = details.reason
    this.violations = details.violations ?? []
    this.retryAfterMs = details.retryAfterMs
  }
}

const DETAILS = 'grpc-status-details-bin'

/** What goes over the wire for an error. Anything but a StatusError is INTERNAL and says nothing of itself. */
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
    const info = ErrorInfo.encode({ reason: error.reason, domain: ERROR_DOMAIN, metadata: {} }).finish()
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

/** Reads an error that a gRPC client received. Details that cannot be read are left out: the code stands without them. */
export function fromGrpcError(error: ServiceError): StatusError {
  const packed = error.metadata?.get(DETAILS)[0]
  return new StatusError(error.code, error.details, {
    ...(packed instanceof Buffer && unpackDetails(packed)),
    cause: error,
  })
}

export function unpackDetails(packed: Uint8Array): StatusDetails {
  const found: StatusDetails = {}
  try {
    for (const { typeUrl, value } of Status.decode(packed).details) {
      if (typeUrl.endsWith('/google.rpc.ErrorInfo')) {
        const info = ErrorInfo.decode(value)
        if (info.domain === ERROR_DOMAIN) found.reason = info.reason
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

/** Bounds an answer by more than its request: a body of a megabyte can break a rule a hundred thousand times. */
export const MAX_VIOLATIONS = 100
const MAX_NAMED = 10

export function invalidArgument(all: readonly Violation[]): StatusError {
  const violations = all.slice(0, MAX_VIOLATIONS)
  const named = violations.slice(0, MAX_NAMED).map(violation => violation.field)
  const fields = all.length > MAX_NAMED ? `${named.join(', ')} and ${all.length - MAX_NAMED} more` : named.join(', ')
  return new StatusError(status.INVALID_ARGUMENT, `Not valid: ${fields}`, { reason: 'invalid_argument', violations })
}

export function unauthenticated(reason: string, message: string): StatusError {
  return new StatusError(status.UNAUTHENTICATED, message, { reason })
}

export function permissionDenied(message: string): StatusError {
  return new StatusError(status.PERMISSION_DENIED, message, { reason: 'permission_denied' })
}

export function notFound(what: string): StatusError {
  return new StatusError(status.NOT_FOUND, `There is no such ${what}`, { reason: 'not_found' })
}

export function unavailable(message: string, details: StatusDetails = {}): StatusError {
  return new StatusError(status.UNAVAILABLE, message, { reason: 'unavailable', ...details })
}
