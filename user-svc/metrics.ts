/** The metrics of user-svc, each by its name and what it says. docs/metrics.md lists them all. */
import {
  type CallMetrics,
  createMetrics,
  type PoolState,
  type Snapshot,
  watchDroppedSpans,
  watchPool,
  watchRpc,
} from '#runtime/observability/metrics.ts'

export interface UserMetrics {
  /** Calls that were served, by method. */
  readonly rpc: CallMetrics
  /** What is asked at each scrape. To be given once each, at boot. */
  readonly watch: {
    readonly pool: (read: () => PoolState) => void
    readonly droppedSpans: (read: () => number) => void
  }
  snapshot(): Promise<Snapshot>
}

export function createUserMetrics(): UserMetrics {
  const metrics = createMetrics()
  return {
    rpc: watchRpc(metrics),
    watch: {
      pool: read => watchPool(metrics, read),
      droppedSpans: read => watchDroppedSpans(metrics, read),
    },
    snapshot: metrics.snapshot,
  }
}
