/** The metrics of auth-svc. docs/metrics.md lists all of them. */
import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { type PoolState, registerPoolMetrics } from '#runtime/postgres/pool-metrics.ts'

export interface AuthMetrics {
  /** Records served RPCs, by method. */
  readonly rpc: CallMetrics
  /** Counts a reused refresh token. @param reuseClass `recent`, `stale` or `unknown`. */
  readonly reuse: (reuseClass: string) => void
  /** Counts an account change of user-svc that could not be applied. */
  readonly accountChangeSetAside: () => void
  /** Registers gauges. Call each method once, at boot; `read` is called at each scrape. */
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
    help: 'Refresh tokens that were reused after rotation, by the time since the rotation: recent (at most a minute), stale (longer) or unknown.',
    labels: ['class'],
  })
  const setAside = metrics
    .counter({
      name: 'account_changes_set_aside_total',
      help: 'Account changes of user-svc that failed five times and were set aside. `make doctor` lists them.',
      labels: [],
    })
    .labels()
  return {
    rpc: registerServerMetrics(metrics),
    accountChangeSetAside: () => setAside.inc(),
    reuse: reuseClass => reuses.labels(reuseClass).inc(),
    watch: {
      pool: read => registerPoolMetrics(metrics, read),
      passwordQueue(read) {
        metrics.gauge(
          {
            name: 'password_queue_waiting',
            help: 'Passwords that are waiting for a bcrypt thread, at most PASSWORD_QUEUE_LIMIT.',
          },
          () => read().waiting,
        )
        metrics.gauge(
          {
            name: 'password_queue_running',
            help: 'Passwords that are being hashed or verified, at most one per core.',
          },
          () => read().running,
        )
      },
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
