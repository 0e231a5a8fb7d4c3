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
  /** Counts a sign-in that was rejected before its password was verified. */
  readonly signInRefusal: (cause: string) => void
  /** Registers gauges. Call each method once, at boot; `read` is called at each scrape. */
  readonly watch: {
    readonly pool: (read: () => PoolState) => void
    readonly passwordQueue: (read: () => { running: number; waiting: number }) => void
    readonly signInThrottle: (read: () => { waiting: number; isLocal: boolean }) => void
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
  const refusals = metrics.counter({
    name: 'sign_in_refusals_total',
    help: 'Sign-ins that were rejected before their password was verified: exhausted (too many failures of the address), crowded (too many attempts of the address at a time) or overloaded (too many waiting attempts of all addresses).',
    labels: ['cause'],
  })
  return {
    rpc: registerServerMetrics(metrics),
    accountChangeSetAside: () => setAside.inc(),
    reuse: reuseClass => reuses.labels(reuseClass).inc(),
    signInRefusal: cause => refusals.labels(cause).inc(),
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
      signInThrottle(read) {
        metrics.gauge(
          {
            name: 'sign_in_waiting',
            help: 'Sign-ins that wait because undecided ones hold the budget of their client address, at most 500.',
          },
          () => read().waiting,
        )
        metrics.gauge(
          {
            name: 'sign_in_throttle_fallback',
            help: '1 while failed sign-ins are counted per process because Redis is unavailable, else 0.',
          },
          () => (read().isLocal ? 1 : 0),
        )
      },
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
