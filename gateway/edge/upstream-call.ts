import { SpanKind } from '@opentelemetry/api'
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
    const events: SpanEvent[] = []
    let code = Code.OK
    try {
      return await transport.unary(rpcPath, message, metadata, deadline, cancellation, noteAttempts(events))
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
        },
        errorType: code === Code.OK ? undefined : Code[code],
        events,
      })
    }
  }

  return (request, message, deadline, cancellation) =>
    isSampled(request.trace.spanContext)
      ? callInSpan(request, message, deadline, cancellation)
      : transport.unary(rpcPath, message, callMetadata(request, request.trace.traceparent), deadline, cancellation)
}

/** Each try is an event when it goes to a server, and another when that did not answer it. */
function noteAttempts(events: SpanEvent[]): CallObserver {
  return {
    onAttempt(attempt, server) {
      const { 'server.address': address, 'server.port': port } = serverOf(server)
      events.push({
        name: 'attempt',
        at: performance.now(),
        attributes: { attempt, 'network.peer.address': address, 'network.peer.port': port },
      })
    },
    onAttemptEnd(error) {
      if (error === undefined) return
      events.push({
        name: 'attempt failed',
        at: performance.now(),
        attributes: { 'rpc.status_code': Code[error.code] },
      })
    },
  }
}
