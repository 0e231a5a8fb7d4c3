import { type Attributes, SpanKind } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import { Code, StatusError } from '#runtime/status.ts'
import { childOf, isSampled, recordSpan, type SpanEvent, serverOf, traceHeaders } from '#runtime/telemetry.ts'
import type { Route } from '../contract/route-table.ts'
import type { Cancellation } from '../upstream/cancellation.ts'
import type { CallObserver, Transport } from '../upstream/transport.ts'
import { callMetadata } from './call-metadata.ts'

/** Calls one method of an upstream for a request: in its trace and, if that is sampled, as a span of its own. */
export type UpstreamCall = (
  request: FastifyRequest,
  message: Uint8Array,
  deadline: number,
  cancellation: Cancellation,
) => Promise<Uint8Array>

export function createUpstreamCall(
  transport: Pick<Transport, 'unary' | 'address'>,
  { name, rpcPath }: Pick<Route, 'name' | 'rpcPath'>,
): UpstreamCall {
  const server = serverOf(transport.address)

  async function callInSpan(
    ...[request, message, deadline, cancellation]: Parameters<UpstreamCall>
  ): Promise<Uint8Array> {
    const startedAt = performance.now()
    const parent = request.trace.spanContext
    const spanContext = childOf(parent)
    const { traceparent } = traceHeaders(spanContext)
    const metadata = callMetadata(request, traceparent)
    const attempts = new Attempts()
    let code = Code.OK
    try {
      return await transport.unary(rpcPath, message, metadata, deadline, cancellation, attempts)
    } catch (error) {
      code = error instanceof StatusError ? error.code : Code.UNKNOWN
      throw error
    } finally {
      recordSpan({
        name,
        kind: SpanKind.CLIENT,
        spanContext,
        parent,
        startedAt,
        attributes: {
          'rpc.system.name': 'grpc',
          'rpc.method': name,
          'rpc.status_code': Code[code],
          ...server,
          ...attempts.peer(),
        },
        errorType: code === Code.OK ? undefined : Code[code],
        events: attempts.failures,
      })
    }
  }

  return (request, message, deadline, cancellation) =>
    isSampled(request.trace.spanContext)
      ? callInSpan(request, message, deadline, cancellation)
      : transport.unary(rpcPath, message, callMetadata(request, request.trace.traceparent), deadline, cancellation)
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
