import { SpanKind } from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import { Code, StatusError } from '#runtime/status.ts'
import { childOf, isSampled, recordSpan, serverOf, traceHeaders } from '#runtime/telemetry.ts'
import type { Route } from '../contract/route-table.ts'
import type { Cancellation } from '../upstream/cancellation.ts'
import type { Transport } from '../upstream/transport.ts'
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
    let code = Code.OK
    try {
      return await transport.unary(rpcPath, message, callMetadata(request, traceparent), deadline, cancellation)
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
      })
    }
  }

  return (request, message, deadline, cancellation) =>
    isSampled(request.trace.spanContext)
      ? callInSpan(request, message, deadline, cancellation)
      : transport.unary(rpcPath, message, callMetadata(request, request.trace.traceparent), deadline, cancellation)
}
