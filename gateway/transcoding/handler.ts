/** The common parts of the unary and the stream handler. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { PathTemplate } from '../contract/path-template.ts'
import type { Route } from '../contract/route-table.ts'
import type { StreamLimit } from '../edge/limits/stream-limit.ts'
import { clientTimeoutMs } from '../http/client-timeout.ts'
import { readCookies } from '../http/cookies.ts'
import { HttpError } from '../http/http-errors.ts'
import { splitTarget } from '../http/request-target.ts'
import { Cancellation } from '../upstream/cancellation.ts'
import type { UpstreamConnection } from '../upstream/connections.ts'
import { deadlineIn, timeLeft } from '../upstream/deadline.ts'
import type { ErrorForwarding } from '../upstream/forwarded-errors.ts'
import type { Codec, RequestInput } from './codec.ts'
import type { OpenStreams } from './open-streams.ts'

export type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** `applied`: the deadline of the client is earlier than that of the policy; `longer`: it is not; `malformed`: 400. */
export type ClientDeadlineOutcome = 'applied' | 'longer' | 'malformed'

export interface HandlerOptions {
  /** Called once per route, at registration. */
  readonly codecFor: (route: Route) => Codec
  readonly connectionOf: (upstream: string) => UpstreamConnection
  readonly forwardingOf: (upstream: string) => ErrorForwarding
  readonly openStreams: OpenStreams
  readonly streamLimit: StreamLimit
  /** Timeout of unary methods whose policy has none, in milliseconds, by name of the upstream. */
  readonly defaultTimeoutOf: (upstream: string) => number
  readonly rpcMetrics: CallMetrics
  /** Called for each request with a deadline of the client. */
  readonly onClientDeadline: (outcome: ClientDeadlineOutcome) => void
  /** Applies a revocation in a response at once, before it arrives by the revocation stream. */
  readonly revoke: (revocation: Revocation) => void
}

/** @throws HttpError `route_not_found` if the path does not match the template (see `PathTemplate.extract`). */
export function readRequestInput(template: PathTemplate, request: FastifyRequest): RequestInput {
  const { path, query } = splitTarget(request.raw)
  const pathValues = template.extract(path)
  if (pathValues === undefined) throw new HttpError('route_not_found')
  const body = request.body instanceof Uint8Array ? request.body : undefined
  return { pathValues, query, body, cookies: readCookies(request), ifMatch: request.headers['if-match'] }
}

/** As `readRequestInput`, for a route that takes a raw body. */
export function readRawRequestInput(template: PathTemplate, request: FastifyRequest): RequestInput {
  return { ...readRequestInput(template, request), contentType: request.headers['content-type'] }
}

/**
 * Returns the deadline that the client sent, in milliseconds of `performance.now()`; undefined if it sent none, or if the
 * one of the policy is earlier. The time of the client starts with the request.
 * @param deadline that of the policy.
 * @throws StatusError INVALID_ARGUMENT for a malformed header.
 */
export function readClientDeadline(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  deadline: number,
  onClientDeadline: HandlerOptions['onClientDeadline'],
): number | undefined {
  if (headers['request-timeout'] === undefined && headers['grpc-timeout'] === undefined) return undefined
  let timeoutMs: number
  try {
    timeoutMs = clientTimeoutMs(headers) as number
  } catch (error) {
    onClientDeadline('malformed')
    throw error
  }
  const remaining = timeoutMs - reply.elapsedTime
  const isEarlier = remaining < timeLeft(deadline)
  onClientDeadline(isEarlier ? 'applied' : 'longer')
  return isEarlier ? deadlineIn(remaining) : undefined
}

/** Returns a cancellation that is triggered when the client disconnects before the response is complete. */
export function cancelOnDisconnect(reply: FastifyReply): Cancellation {
  const cancellation = new Cancellation()
  const { raw } = reply
  // The client may have disconnected during the policy checks; `close` was emitted then.
  if (raw.destroyed) cancellation.cancel()
  raw.on('close', () => {
    if (!raw.writableFinished) cancellation.cancel()
  })
  return cancellation
}
