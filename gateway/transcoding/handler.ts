/** The common parts of the unary and the stream handler. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { PathTemplate } from '../contract/path-template.ts'
import type { Route } from '../contract/route-table.ts'
import type { StreamLimit } from '../edge/limits/stream-limit.ts'
import { readCookies } from '../http/cookies.ts'
import { HttpError } from '../http/http-errors.ts'
import { splitTarget } from '../http/request-target.ts'
import { Cancellation } from '../upstream/cancellation.ts'
import type { ErrorForwarding } from '../upstream/forwarded-errors.ts'
import type { StreamTransport, Transport } from '../upstream/transport.ts'
import type { Codec, RequestInput } from './codec.ts'
import type { OpenStreams } from './open-streams.ts'

export type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

export interface HandlerOptions {
  /** Called once per route, at registration. */
  readonly codecFor: (route: Route) => Codec
  readonly transportOf: (upstream: string) => Transport
  readonly streamsOf: (upstream: string) => StreamTransport
  readonly forwardingOf: (upstream: string) => ErrorForwarding
  readonly openStreams: OpenStreams
  readonly streamLimit: StreamLimit
  /** Timeout of unary methods whose policy has none, in milliseconds, by name of the upstream. */
  readonly defaultTimeoutOf: (upstream: string) => number
  readonly rpcMetrics: CallMetrics
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
