/** The metrics of user-svc. docs/metrics.md lists them all. */

import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { type PoolState, registerPoolMetrics } from '#runtime/postgres/pool-metrics.ts'
import type { RetentionKind } from './tables.ts'

export interface UserMetrics {
  /** Served RPCs, by method and status. */
  readonly rpc: CallMetrics
  /** Counts a row or user that a retention run could not delete, erase or purge. */
  readonly retentionFailure: (kind: RetentionKind) => void
  /** Registers sources that are read at each scrape. Call each function once, at boot. */
  readonly watch: {
    readonly pool: (read: () => PoolState) => void
    readonly droppedSpans: (read: () => number) => void
  }
  snapshot(): Promise<Snapshot>
}

export function createUserMetrics(): UserMetrics {
  const metrics = createMetrics()
  const failures = metrics.counter({
    name: 'retention_failures_total',
    help: 'Rows past retention that a run could not delete, erase or purge. `make doctor` lists those set aside.',
    labels: ['kind'],
  })
  return {
    retentionFailure: kind => failures.labels(kind).inc(),
    rpc: registerServerMetrics(metrics),
    watch: {
      pool: read => registerPoolMetrics(metrics, read),
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
