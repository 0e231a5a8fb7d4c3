/**
 * The calls that a request makes to an upstream: metadata, metrics, `request.rpcCode` for the access log and, if the
 * request's trace is sampled, a client span.
 */
import type { Attributes, SpanContext } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT } from '#runtime/grpc/metadata.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import { recordClientCall, serverAttributes } from '#runtime/observability/client-spans.ts'
import { childSpanContext, type SpanEvent } from '#runtime/observability/spans.ts'
import { formatTraceparent, isSampled } from '#runtime/observability/trace-context.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { isIdempotent } from '../contract/idempotency.ts'
import type { Route } from '../contract/route-table.ts'
import { addressOf, principalOf } from '../edge/limits/rate-limits.ts'
import { callPolicy } from './call-policy.ts'
import type { Cancellation } from './cancellation.ts'
import type { UpstreamConnection, UpstreamTransports } from './connections.ts'
import type { ErrorForwarding } from './forwarded-errors.ts'
import { isCanaryCaller } from './traffic-split.ts'
import type { CallMetadata, CallObserver } from './transport.ts'

/**
 * Calls a unary method for a request.
 * @param message the encoded request message.
 * @param deadline in milliseconds of `performance.now()`.
 * @param hasClientDeadline whether the client chose the deadline.
 * @returns the encoded response message.
 * @throws ForwardedError or StatusError of the upstream (forwarded-errors.ts), StatusError of the transport or of the
 * circuit breaker.
 */
export type UpstreamCall = (
  request: FastifyRequest,
  message: Uint8Array,
  deadline: number,
  cancellation: Cancellation,
  hasClientDeadline: boolean,
) => Promise<Uint8Array>

/** Opens a server stream for a request. Parameters and errors are those of `UpstreamCall`; yields encoded messages. */
export type UpstreamStream = (
  request: FastifyRequest,
  message: Uint8Array,
  deadline: number,
  cancellation: Cancellation,
) => AsyncGenerator<Uint8Array, void, void>

type Method = Pick<Route, 'name' | 'rpcPath' | 'upstream' | 'policy' | 'descriptor' | 'httpMethod'>

/**
 * Returns a function that calls `method`. Each call is counted in `metrics` by upstream, method and status code; the upstream
 * of a canary is `NAME/canary`.
 */
export function createUpstreamCall(
  connection: UpstreamConnection,
  method: Method,
  metrics: CallMetrics,
  forwardError: ErrorForwarding,
): UpstreamCall {
  const { rpcPath } = method
  const { breaker } = connection
  const service = serviceOf(method)
  const select = createSelection(connection, method, metrics)
  const mayRepeat = isIdempotent(method)

  return async (request, message, deadline, cancellation, hasClientDeadline) => {
    const { transport, recorder } = select(request)
    const startedAt = performance.now()
    const parent = request.trace.spanContext
    const span = isSampled(parent) ? new CallSpan(parent) : undefined
    const metadata = callMetadata(request, span?.traceparent ?? request.trace.traceparent)
    // The first attempt may have changed the resource, so that the condition of the request is false for the second one.
    const policy = callPolicy(mayRepeat && request.headers['if-match'] === undefined, hasClientDeadline)
    breaker.startCall()
    try {
      const response = await transport.unary(rpcPath, message, metadata, deadline, cancellation, span, policy)
      recorder.record(request, Code.OK, startedAt, span)
      return response
    } catch (error) {
      recorder.record(request, codeOf(error), startedAt, span)
      throw forwardError(error, service)
    } finally {
      breaker.endCall()
    }
  }
}

/** Returns a function that opens a stream of `method`. A stream is counted in `metrics` when it ends. */
export function createUpstreamStream(
  connection: UpstreamConnection,
  method: Method,
  metrics: CallMetrics,
  forwardError: ErrorForwarding,
): UpstreamStream {
  const { rpcPath } = method
  const { breaker } = connection
  const service = serviceOf(method)
  const select = createSelection(connection, method, metrics)

  return async function* (request, message, deadline, cancellation) {
    const { streams, recorder } = select(request)
    const startedAt = performance.now()
    const parent = request.trace.spanContext
    const span = isSampled(parent) ? new CallSpan(parent) : undefined
    const metadata = callMetadata(request, span?.traceparent ?? request.trace.traceparent)
    breaker.startStream()
    // CANCELLED if the consumer stops early. Set now, because the access log may be written before the generator returns.
    let code = Code.CANCELLED
    request.rpcCode = code
    try {
      yield* streams.open(rpcPath, message, metadata, deadline, cancellation)
      code = Code.OK
    } catch (error) {
      code = codeOf(error)
      throw forwardError(error, service)
    } finally {
      breaker.endStream()
      recorder.record(request, code, startedAt, span)
    }
  }
}

interface Selected extends UpstreamTransports {
  readonly recorder: CallRecorder
}

/** Returns a function that selects the canary for the callers of its share, while it is reachable. */
function createSelection(connection: UpstreamConnection, method: Method, metrics: CallMetrics) {
  const { canary } = connection
  const main = selected(connection, method, metrics)
  if (canary === undefined) return (_request: FastifyRequest): Selected => main
  const { upstream } = method
  const second = selected(canary, { ...method, upstream: `${upstream}/canary` }, metrics)
  return (request: FastifyRequest): Selected => {
    const caller = request.principal === undefined ? addressOf(request) : principalOf(request)
    const isSelected = isCanaryCaller(caller, canary.percent, upstream)
    return isSelected && canary.transport.state().connections > 0 ? second : main
  }
}

function selected({ transport, streams }: UpstreamTransports, method: Method, metrics: CallMetrics): Selected {
  return { transport, streams, recorder: new CallRecorder(transport.address, method, metrics) }
}

/** Builds the metadata of a call. No client header is copied unchecked, and the access token only after verification. */
export function callMetadata(request: FastifyRequest, traceparent: string): CallMetadata {
  const metadata: Record<string, string> = {
    traceparent,
    [CLIENT_USER_AGENT]: toMetadataValue(request.headers['user-agent'] ?? ''),
  }
  const address = request.clientAddress
  if (address !== undefined) metadata[CLIENT_ADDRESS] = address
  const { traceState } = request.trace.spanContext
  if (traceState !== undefined) metadata['tracestate'] = traceState.serialize()
  if (request.principal !== undefined) metadata['authorization'] = request.headers.authorization ?? ''
  return metadata
}

/** At most 256 characters of ASCII-Value (gRPC over HTTP/2) without surrounding spaces. Other characters become `?`. */
function toMetadataValue(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 256)
    .trim()
}

/** Returns the full name of the service of `method.name`. */
function serviceOf({ name }: Method): string {
  return name.slice(0, name.lastIndexOf('/'))
}

function codeOf(error: unknown): Code {
  return error instanceof StatusError ? error.code : Code.UNKNOWN
}

class CallRecorder {
  readonly #name: string
  readonly #server: Attributes
  readonly #metrics: ReturnType<CallMetrics['labels']>

  constructor(address: string, { name, upstream }: Method, metrics: CallMetrics) {
    this.#name = name
    this.#server = serverAttributes(address)
    this.#metrics = metrics.labels(upstream, name)
  }

  record(request: FastifyRequest, code: Code, startedAt: number, span: CallSpan | undefined): void {
    request.rpcCode = code
    const durationMs = performance.now() - startedAt
    request.upstreamMs = durationMs
    this.#metrics.record(code, durationMs / 1000, span?.context)
    if (span === undefined) return
    recordClientCall({
      name: this.#name,
      code: Code[code],
      spanContext: span.context,
      parent: request.trace.spanContext,
      startedAt,
      attributes: { ...this.#server, ...span.peerAttributes() },
      events: span.failedAttempts,
    })
  }
}

/** The span of a sampled call. As its observer it records the server of the last attempt and an event per failed one. */
class CallSpan implements CallObserver {
  readonly context: SpanContext
  readonly traceparent: string
  readonly failedAttempts: SpanEvent[] = []
  #attempt = 0
  #server = ''

  constructor(parent: SpanContext) {
    this.context = childSpanContext(parent)
    this.traceparent = formatTraceparent(this.context)
  }

  onAttempt(attempt: number, server: string): void {
    this.#attempt = attempt
    this.#server = server
  }

  onAttemptEnd(error: StatusError | undefined): void {
    if (error === undefined) return
    const attributes = { attempt: this.#attempt, 'rpc.status_code': Code[error.code], ...this.peerAttributes() }
    this.failedAttempts.push({ name: 'attempt failed', at: performance.now(), attributes })
  }

  peerAttributes(): Attributes {
    const { 'server.address': address, 'server.port': port } = serverAttributes(this.#server)
    return { 'network.peer.address': address, 'network.peer.port': port }
  }
}
