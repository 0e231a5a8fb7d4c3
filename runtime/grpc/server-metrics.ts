import type { CallMetrics } from '../observability/call-metrics.ts'
import type { Metrics } from '../observability/metrics.ts'
import { codeName } from '../status.ts'

/** Registers the metrics of the calls that a gRPC server handles, by method and code. */
export function registerServerMetrics(metrics: Metrics): CallMetrics {
  return metrics.calls({
    counter: { name: 'rpc_server_requests_total', help: 'Calls handled' },
    histogram: {
      name: 'rpc_server_request_duration_seconds',
      help: 'Duration of a call; of a stream, until its end',
    },
    labels: ['method'],
    resultLabel: 'code',
    resultText: codeName,
  })
}
