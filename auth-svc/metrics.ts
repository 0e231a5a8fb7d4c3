/** The metrics of auth-svc, each by its name and what it says. docs/metrics.md lists them all. */

import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { type PoolState, registerPoolMetrics } from '#runtime/postgres/pool-metrics.ts'

export interface AuthMetrics {
  /** Calls that were served, by method. */
  readonly rpc: CallMetrics
  /** Counts a refresh token that was used again, by its class. */
  readonly reuse: (reuseClass: string) => void
  /** What is asked at each scrape. To be given once each, at boot. */
  readonly watch: {
    readonly pool: (read: () => PoolState) => void
    readonly passwordQueue: (read: () => { running: number; waiting: number }) => void
    readonly droppedSpans: (read: () => number) => void
  }
  snapshot(): Promise<Snapshot>
}

export function createAuthMetrics(): AuthMetrics {
  const metrics = createMetrics()
  const reuses = metrics.counter({
    name: 'refresh_reuse_total',
    help: 'Refresh tokens that were used again, by how they had been used before: recent, stale or unknown',
    labels: ['class'],
  })
  return {
    rpc: registerServerMetrics(metrics),
    reuse: reuseClass => reuses.labels(reuseClass).inc(),
    watch: {
      pool: read => registerPoolMetrics(metrics, read),
      passwordQueue(read) {
        metrics.gauge(
          { name: 'password_queue_waiting', help: 'Passwords that wait to be hashed' },
          () => read().waiting,
        )
        metrics.gauge({ name: 'password_queue_running', help: 'Passwords that are being hashed' }, () => read().running)
      },
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
