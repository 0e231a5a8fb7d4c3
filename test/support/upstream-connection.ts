import { CircuitBreaker } from '../../gateway/upstream/circuit-breaker.ts'
import type { UpstreamConnection } from '../../gateway/upstream/connections.ts'
import type { StreamTransport, Transport } from '../../gateway/upstream/transport.ts'

/** A connection without a canary, whose circuit breaker admits all calls of a test. */
export function unlimitedConnection(transport: Transport, streams: StreamTransport): UpstreamConnection {
  const limits = { maxCalls: 100_000, maxStreams: 100_000 }
  const breaker = new CircuitBreaker(limits, { calls: 0, streams: 0 }, () => {})
  return { transport, streams, breaker, canary: undefined }
}
