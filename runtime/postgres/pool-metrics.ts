import type { Metrics } from '../observability/metrics.ts'

/** Numbers of connections and of work on them. */
export interface PoolState {
  /** Open connections of the pool. */
  readonly total: number
  /** Unused connections of the pool. */
  readonly idle: number
  /** Requests that wait for a connection of the pool. */
  readonly waiting: number
  /** Prepared statements in flight on the pipelined connections, which are not part of the pool. */
  readonly pipelined: number
}

/** Registers the metrics of a service's database connections. `read` is called at each scrape. */
export function registerPoolMetrics(metrics: Metrics, read: () => PoolState): void {
  metrics.gauge({ name: 'db_pool_connections', help: 'Open connections to PostgreSQL' }, () => read().total)
  metrics.gauge({ name: 'db_pool_idle_connections', help: 'Unused connections to PostgreSQL' }, () => read().idle)
  metrics.gauge(
    { name: 'db_pool_waiting', help: 'Requests that wait for a connection to PostgreSQL' },
    () => read().waiting,
  )
  metrics.gauge(
    { name: 'db_pipelined_statements', help: 'Prepared statements in flight on pipelined connections' },
    () => read().pipelined,
  )
}
