import { MethodOptions_IdempotencyLevel as Level } from '@bufbuild/protobuf/wkt'
import { Retry } from '#proto/edge/v1/options_pb.js'
import type { Route } from './route-table.ts'

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * Whether a call of the route may be repeated although an upstream may have processed it: by `retry` of its policy, else by
 * `idempotency_level`, else by the HTTP method.
 */
export function isIdempotent(route: Pick<Route, 'policy' | 'descriptor' | 'httpMethod'>): boolean {
  const { policy, descriptor, httpMethod } = route
  if (policy.retry === Retry.NEVER) return false
  if (policy.retry === Retry.ALWAYS || descriptor.idempotency !== Level.IDEMPOTENCY_UNKNOWN) return true
  return IDEMPOTENT_METHODS.has(httpMethod)
}
