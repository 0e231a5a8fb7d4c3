/**
 * The metrics of the gateway. Other files receive recording functions and do not know the registry or the names.
 * docs/metrics.md documents each metric.
 */
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { type Counter, createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { codeName } from '#runtime/status.ts'

export interface GatewayMetrics {
  /** HTTP requests. Labels: method, route. */
  readonly http: CallMetrics
  /** Calls to upstreams. Labels: upstream, method. */
  readonly rpc: CallMetrics
  /**
   * Counts a decision of a rate limit.
   * @param limitClass name of the class in gateway.yaml, such as `user`.
   * @param outcome `admitted` or `refused`. Each pair of class and outcome is a time series.
   */
  readonly rateLimitDecision: (limitClass: string, outcome: string) => void
  /** Counts a connection that the listener refused or aborted. `reason` is a label. */
  readonly connectionRejected: (reason: string) => void
  /** Counts an attempt to reload the configuration. @param outcome `success` or `failure`. */
  readonly configurationReload: (outcome: string) => void
  /** Counts an attempt to read a contract by reflection. @param outcome `accepted`, `unchanged`, `refused` or `failed`. */
  readonly contractRead: (upstream: string, outcome: string) => void
  /** Counts a request with a deadline of the client. `outcome` is a label. */
  readonly clientDeadline: (outcome: string) => void
  /** Returns the counters of an upstream: of retries and ejections by outcome, and of calls that were rejected. */
  readonly upstream: (name: string) => {
    onRetry(outcome: string): void
    onEjection(outcome: string): void
    onOverload(): void
  }
  /** Records that a revocation was applied, with the time since it was written, in milliseconds. */
  readonly revocationApplied: (lagMs: number) => void
  /** Registers a gauge or counter whose value is read at each scrape. Call each function at most once. */
  readonly watch: {
    readonly requestsInFlight: (read: () => number) => void
    readonly openConnections: (read: () => number) => void
    /** Number of open server streams of upstreams. */
    readonly openStreams: (read: () => number) => void
    /** Time in seconds since the revocations were last complete. Infinity if they never were. */
    readonly revocationLag: (read: () => number) => void
    /** Time in seconds since the last heartbeat of auth-svc. Infinity if there was none. */
    readonly revocationHeartbeatAge: (read: () => number) => void
    readonly revocationEntries: (read: () => number) => void
    /** Whether rate limits use local buckets, because Redis is unavailable. */
    readonly rateLimitFallback: (read: () => boolean) => void
    /** The state of each upstream. */
    readonly upstreams: (
      read: () => readonly { readonly upstream: string; readonly calls: number; readonly ejectedAddresses: number }[],
    ) => void
    readonly droppedSpans: (read: () => number) => void
    /** Contracts that are read by reflection, and whether the gateway has one. */
    readonly contracts: (read: () => readonly { readonly upstream: string; readonly isAvailable: boolean }[]) => void
    /** The results of the health checks. */
    readonly healthChecks: (read: () => Promise<readonly { readonly name: string; readonly passed: boolean }[]>) => void
  }
  /** Reads the values of all metrics. */
  snapshot(): Promise<Snapshot>
}

export function createGatewayMetrics(): GatewayMetrics {
  const metrics = createMetrics()
  const decisions = metrics.counter({
    name: 'rate_limit_decisions_total',
    help: 'Rate-limit decisions, by class and outcome.',
    labels: ['class', 'outcome'],
  })
  // Nearly all decisions repeat the previous pair, and looking up a series by its labels costs 0.4 us.
  let latest = { limitClass: '', outcome: '', counter: undefined as Counter | undefined }
  function decisionCounter(limitClass: string, outcome: string): Counter {
    if (latest.counter !== undefined && latest.limitClass === limitClass && latest.outcome === outcome) {
      return latest.counter
    }
    const counter = decisions.labels(limitClass, outcome)
    latest = { limitClass, outcome, counter }
    return counter
  }
  const rejections = metrics.counter({
    name: 'http_connections_rejected_total',
    help: 'Connections that were refused or aborted because of a limit, by reason.',
    labels: ['reason'],
  })
  const reloads = metrics.counter({
    name: 'configuration_reloads_total',
    help: 'Attempts to reload gateway.yaml and the contracts, by outcome.',
    labels: ['outcome'],
  })
  const contractReads = metrics.counter({
    name: 'upstream_contract_reads_total',
    help: 'Attempts to read the contract of an upstream by reflection, by outcome.',
    labels: ['upstream', 'outcome'],
  })
  const retries = metrics.counter({
    name: 'upstream_retries_total',
    help: 'Failed attempts of calls that may be repeated, by what followed.',
    labels: ['upstream', 'outcome'],
  })
  const ejections = metrics.counter({
    name: 'upstream_ejections_total',
    help: 'Addresses of upstreams whose calls failed in a row, by what followed.',
    labels: ['upstream', 'outcome'],
  })
  const overloads = metrics.counter({
    name: 'upstream_overloads_total',
    help: 'Calls and streams that were rejected because too many of the upstream are in progress.',
    labels: ['upstream'],
  })
  const clientDeadlines = metrics.counter({
    name: 'client_deadlines_total',
    help: 'Requests with a deadline of the client, by outcome.',
    labels: ['outcome'],
  })
  let appliedLagMs = 0
  metrics.gauge(
    {
      name: 'revocation_applied_lag_seconds',
      help: 'Time from writing the latest revocation to applying it in the gateway, in seconds.',
      aggregator: 'max',
    },
    () => appliedLagMs / 1000,
  )

  return {
    http: metrics.calls({
      counter: { name: 'http_requests_total', help: 'HTTP requests, by method, route and status code.' },
      histogram: {
        name: 'http_request_duration_seconds',
        help: 'Time from the head of a request to the end of its response, in seconds.',
      },
      labels: ['method', 'route'],
      resultLabel: 'status_code',
      resultText: String,
    }),
    rpc: metrics.calls({
      counter: { name: 'rpc_client_requests_total', help: 'gRPC calls to upstreams, by upstream, method and code.' },
      histogram: {
        name: 'rpc_client_request_duration_seconds',
        help: 'Duration of gRPC calls to upstreams, in seconds. A stream lasts until it ends.',
      },
      labels: ['upstream', 'method'],
      resultLabel: 'code',
      resultText: codeName,
    }),
    rateLimitDecision: (limitClass, outcome) => decisionCounter(limitClass, outcome).inc(),
    configurationReload: outcome => reloads.labels(outcome).inc(),
    contractRead: (upstream, outcome) => contractReads.labels(upstream, outcome).inc(),
    clientDeadline: outcome => clientDeadlines.labels(outcome).inc(),
    upstream: name => ({
      onRetry: outcome => retries.labels(name, outcome).inc(),
      onEjection: outcome => ejections.labels(name, outcome).inc(),
      onOverload: () => overloads.labels(name).inc(),
    }),
    connectionRejected: reason => rejections.labels(reason).inc(),
    revocationApplied(lagMs) {
      appliedLagMs = lagMs
    },
    watch: {
      requestsInFlight: read =>
        metrics.gauge(
          { name: 'http_requests_in_flight', help: 'HTTP requests whose response has not been sent completely.' },
          read,
        ),
      openConnections: read =>
        metrics.gauge({ name: 'http_connections_open', help: 'Open connections of clients.' }, read),
      openStreams: read =>
        metrics.gauge({ name: 'upstream_streams_open', help: 'Open server streams of upstreams.' }, read),
      revocationLag: read =>
        metrics.gauge(
          {
            name: 'revocation_lag_seconds',
            help: 'Time since the gateway last knew all revocations of the stream, in seconds. Above 30, access tokens are rejected.',
            aggregator: 'max',
          },
          () => atMostUptime(read()),
        ),
      revocationHeartbeatAge: read =>
        metrics.gauge(
          {
            name: 'revocation_silence_seconds',
            help: 'Time since the last heartbeat of auth-svc in the revocation stream, in seconds. Normally below 2.',
            aggregator: 'max',
          },
          () => atMostUptime(read()),
        ),
      revocationEntries: read =>
        metrics.gauge({ name: 'revocation_entries', help: 'Revocations in memory.', aggregator: 'max' }, read),
      rateLimitFallback: read =>
        metrics.gauge(
          {
            name: 'rate_limit_fallback',
            help: 'Processes that use local buckets because Redis is unavailable or not configured.',
          },
          () => Number(read()),
        ),
      upstreams(read) {
        metrics.gauges(
          { name: 'upstream_calls_in_progress', help: 'Unary calls of an upstream that are in progress.' },
          async () => read().map(({ upstream, calls }) => ({ labels: { upstream }, value: calls })),
        )
        metrics.gauges(
          {
            name: 'upstream_ejected_addresses',
            help: 'Addresses of an upstream that get no calls for a time.',
            aggregator: 'max',
          },
          async () =>
            read().map(({ upstream, ejectedAddresses }) => ({ labels: { upstream }, value: ejectedAddresses })),
        )
      },
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
      contracts: read =>
        metrics.gauges(
          {
            name: 'upstream_contract_available',
            help: 'Whether the gateway has the contract of an upstream that it reads by reflection, as 1 or 0.',
            aggregator: 'min',
          },
          async () => read().map(({ upstream, isAvailable }) => ({ labels: { upstream }, value: Number(isAvailable) })),
        ),
      healthChecks: read =>
        metrics.gauges(
          {
            name: 'health_check_passed',
            help: 'Whether a dependency passes its health check, as 1 or 0.',
            aggregator: 'min',
          },
          async () => (await read()).map(({ name, passed }) => ({ labels: { check: name }, value: Number(passed) })),
        ),
    },
    snapshot: () => metrics.snapshot(),
  }
}

/** Replaces Infinity, which would distort sums and graphs, by the time since the start of the process, in seconds. */
function atMostUptime(seconds: number): number {
  return Math.min(seconds, performance.now() / 1000)
}
