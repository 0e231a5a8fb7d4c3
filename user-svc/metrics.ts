/** The metrics of user-svc. docs/metrics.md lists them all. */

import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { type PoolState, registerPoolMetrics } from '#runtime/postgres/pool-metrics.ts'

export interface UserMetrics {
  /** Served RPCs, by method and status. */
  readonly rpc: CallMetrics
  /** Registers sources that are read at each scrape. Call each function once, at boot. */
  readonly watch: {
    readonly pool: (read: () => PoolState) => void
    readonly droppedSpans: (read: () => number) => void
  }
  snapshot(): Promise<Snapshot>
}

export function createUserMetrics(): UserMetrics {
  const metrics = createMetrics()
  return {
    rpc: registerServerMetrics(metrics),
    watch: {
      pool: read => registerPoolMetrics(metrics, read),
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
