import type { Attributes, SpanContext } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import type { CallMetrics } from '#runtime/observability/metrics.ts'
import { childOf, isSampled, recordCall, type SpanEvent, serverOf } from '#runtime/observability/telemetry.ts'
import { traceparentOf } from '#runtime/observability/trace-context.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { Route } from '../contract/route-table.ts'
import { callMetadata } from './call-metadata.ts'
import type { Cancellation } from './cancellation.ts'
import type { CallObserver, Transport } from './transport.ts'

/** Calls one method of an upstream for a request: in its trace and, if that is sampled, as a span of its own. */
export type UpstreamCall = (
  request: FastifyRequest,
  message: Uint8Array,
  deadline: number,
  cancellation: Cancellation,
) => Promise<Uint8Array>

/** @param metrics by upstream and method. */
export function createUpstreamCall(
  transport: Pick<Transport, 'unary' | 'address'>,
  { name, rpcPath, upstream }: Pick<Route, 'name' | 'rpcPath' | 'upstream'>,
  metrics: CallMetrics,
): UpstreamCall {
  const server = serverOf(transport.address)
  const calls = metrics.of(upstream, name)

  async function callInSpan(
    ...[request, message, deadline, cancellation]: Parameters<UpstreamCall>
  ): Promise<Uint8Array> {
    const startedAt = performance.now()
    const parent = request.trace.spanContext
    const spanContext = childOf(parent)
    const traceparent = traceparentOf(spanContext)
    const metadata = callMetadata(request, traceparent)
    const attempts = new Attempts()
    try {
      const response = await transport.unary(rpcPath, message, metadata, deadline, cancellation, attempts)
      note(request, Code.OK, startedAt, spanContext)
      return response
    } catch (error) {
      note(request, codeOf(error), startedAt, spanContext)
      throw error
    } finally {
      recordCall({
        name,
        code: Code[request.rpcCode ?? Code.UNKNOWN],
        spanContext,
        parent,
        startedAt,
        attributes: { ...server, ...attempts.peer() },
        events: attempts.failures,
      })
    }
  }

  function note(request: FastifyRequest, code: Code, startedAt: number, recorded?: SpanContext): void {
    request.rpcCode = code
    calls.record(code, (performance.now() - startedAt) / 1000, recorded)
  }

  return async (request, message, deadline, cancellation) => {
    if (isSampled(request.trace.spanContext)) return callInSpan(request, message, deadline, cancellation)
    const startedAt = performance.now()
    const metadata = callMetadata(request, request.trace.traceparent)
    try {
      const response = await transport.unary(rpcPath, message, metadata, deadline, cancellation)
      note(request, Code.OK, startedAt)
      return response
    } catch (error) {
      note(request, codeOf(error), startedAt)
      throw error
    }
  }
}

function codeOf(error: unknown): Code {
  return error instanceof StatusError ? error.code : Code.UNKNOWN
}

/** The tries of a call: of the last one the server, of each that failed an event. */
class Attempts implements CallObserver {
  readonly failures: SpanEvent[] = []
  #attempt = 0
  #server = ''

  onAttempt(attempt: number, server: string): void {
    this.#attempt = attempt
    this.#server = server
  }

  onAttemptEnd(error: StatusError | undefined): void {
    if (error === undefined) return
    const attributes = { attempt: this.#attempt, 'rpc.status_code': Code[error.code], ...this.peer() }
    this.failures.push({ name: 'attempt failed', at: performance.now(), attributes })
  }

  peer(): Attributes {
    const { 'server.address': address, 'server.port': port } = serverOf(this.#server)
    return { 'network.peer.address': address, 'network.peer.port': port }
  }
}
