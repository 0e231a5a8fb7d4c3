/**
 * Decides what clients get of the errors of an upstream, by the fields `errors` and `errorMetadata` of `gateway.yaml`.
 *
 * A 4xx carries the message, the reason of ErrorInfo and the status details (https://google.aip.dev/193). A 5xx carries
 * none of them, because they may name hosts, tables or files. Neither does a status that the gateway's client created.
 */
import { type FileRegistry, fromBinary } from '@bufbuild/protobuf'
import { z } from 'zod'
import type { Any } from '#proto/google/protobuf/any.ts'
import { ErrorInfoSchema } from '#proto/google/rpc/error_details_pb.js'
import { Status } from '#proto/google/rpc/status.ts'
import { MAX_VIOLATIONS, PeerStatusError, StatusError, type Violation } from '#runtime/status.ts'
import { clientText } from '../http/client-text.ts'
import { ForwardedError } from '../http/forwarded-error.ts'
import { httpStatusOf } from '../http/http-status.ts'
import { createDetailsConverter, typeName } from './public-details.ts'

/** The fields of an upstream in gateway.yaml that concern its errors. */
export const errorFields = {
  errors: z
    .enum(['pass', 'own', 'hide'])
    .default('pass')
    .describe(
      '`pass`: clients get message, reason (prefixed by its domain) and details of a 4xx. `own`: for the services of Gatehouse, whose reasons are the codes of docs/errors.md. `hide`: the status only.',
    ),
  errorMetadata: z
    .array(z.string().min(1))
    .default([])
    .describe('Keys of ErrorInfo.metadata that clients get. Default: none.'),
}

export interface ErrorForwardingOptions {
  readonly errors: 'pass' | 'own' | 'hide'
  readonly errorMetadata: readonly string[]
  /** The message types of the upstream. Details of other types, except those of google.rpc, are sent as base64. */
  readonly registry: FileRegistry
}

/**
 * Converts an error of a call into the error that the client gets. Returns an error of the gateway itself unchanged.
 * @param service full name of the service: the domain of a reason that has none.
 */
export type ErrorForwarding = (error: unknown, service: string) => unknown

/** Built once for each upstream. Costs nothing for a call that succeeds. */
export function createErrorForwarding({ errors, errorMetadata, registry }: ErrorForwardingOptions): ErrorForwarding {
  const toJsonDetails = createDetailsConverter(registry, errorMetadata)

  return (error, service) => {
    if (!(error instanceof PeerStatusError)) return error
    if (errors === 'own') return error
    const { code, retryAfterMs } = error
    // By the code alone, which is that of the response: `error.reason` is what the upstream claims.
    const isPublic = errors === 'pass' && httpStatusOf(new StatusError(code, ''), false) < 500
    if (!isPublic) return new ForwardedError(code, { retryAfterMs, cause: error })
    const { message, details } = statusOf(error)
    return new ForwardedError(code, {
      detail: clientText(error.message || message) || undefined,
      reason: reasonOf(details, service),
      violations: error.violations.slice(0, MAX_VIOLATIONS).map(toClientViolation),
      retryAfterMs,
      details: toJsonDetails(details),
      cause: error,
    })
  }
}

function statusOf({ packedDetails }: PeerStatusError): Status {
  try {
    return Status.decode(packedDetails ?? new Uint8Array())
  } catch {
    // The details are malformed. Code and message of the trailers remain.
    return Status.create()
  }
}

// google/rpc/error_details.proto allows [A-Z][A-Z0-9_]+ of 63 characters. Lower case and punctuation occur as well.
const REASON = /^[\w.-]{1,63}$/
const DOMAIN = /^[\w.-]{1,253}$/

/** Returns `domain/REASON`, which no code of Gatehouse equals, as those have no slash. */
function reasonOf(details: readonly Any[], service: string): string | undefined {
  const packed = details.find(detail => typeName(detail) === ErrorInfoSchema.typeName)
  if (packed === undefined) return undefined
  try {
    const { reason, domain } = fromBinary(ErrorInfoSchema, packed.value)
    return REASON.test(reason) ? `${DOMAIN.test(domain) ? domain : service}/${reason}` : undefined
  } catch {
    return undefined
  }
}

function toClientViolation({ field, description }: Violation): Violation {
  return { field: clientText(field), description: clientText(description) }
}
