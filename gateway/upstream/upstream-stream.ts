/** Opens one server stream of an upstream for a request: in its trace and, if that is sampled, as a span of its own. */
import type { FastifyRequest } from 'fastify'
import type { CallMetrics } from '#runtime/observability/metrics.ts'
import { childOf, isSampled, recordCall, serverOf } from '#runtime/observability/telemetry.ts'
import { traceparentOf } from '#runtime/observability/trace-context.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { Route } from '../contract/route-table.ts'
import { callMetadata } from './call-metadata.ts'
import type { Cancellation } from './cancellation.ts'
import type { StreamTransport } from './stream-transport.ts'

export type UpstreamStream = (
  request: FastifyRequest,
  message: Uint8Array,
  deadline: number,
  cancellation: Cancellation,
) => AsyncGenerator<Uint8Array, void, void>

/** @param metrics by upstream and method; a stream counts when it has ended. */
export function createUpstreamStream(
  transport: StreamTransport,
  { name, rpcPath, upstream }: Pick<Route, 'name' | 'rpcPath' | 'upstream'>,
  metrics: CallMetrics,
): UpstreamStream {
  const server = serverOf(transport.address)
  const calls = metrics.of(upstream, name)

  return async function* (request, message, deadline, cancellation) {
    const startedAt = performance.now()
    const parent = request.trace.spanContext
    const isRecorded = isSampled(parent)
    const spanContext = isRecorded ? childOf(parent) : parent
    const metadata = callMetadata(request, isRecorded ? traceparentOf(spanContext) : request.trace.traceparent)
    // Of who stops reading before the end, as the access log may have to say before the call knows.
    let code = Code.CANCELLED
    request.rpcCode = code
    try {
      yield* transport.open(rpcPath, message, metadata, deadline, cancellation)
      code = Code.OK
    } catch (error) {
      code = error instanceof StatusError ? error.code : Code.UNKNOWN
      throw error
    } finally {
      request.rpcCode = code
      calls.record(code, (performance.now() - startedAt) / 1000, isRecorded ? spanContext : undefined)
      if (isRecorded)
        recordCall({ name, code: Code[code], spanContext, parent, startedAt, attributes: server, events: [] })
    }
  }
}
