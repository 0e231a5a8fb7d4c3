/**
 * The metrics of the gateway, each by its name and what it says. Whoever has something to tell gets a handle of here,
 * and knows nothing of a registry. docs/metrics.md lists them all.
 */
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { type Counter, createMetrics } from '#runtime/observability/metrics.ts'
import { registerDroppedSpansMetric } from '#runtime/observability/telemetry.ts'
import { codeName } from '#runtime/status.ts'

export interface GatewayMetrics {
  /** By method and route. */
  readonly http: CallMetrics
  /** Calls to upstreams, by upstream and method. */
  readonly rpc: CallMetrics
  /**
   * Counts a decision of a rate limit.
   * @param outcome such as `admitted`; each has a series of its own.
   */
  readonly rateLimited: (limitClass: string, outcome: string) => void
  /** Takes note of a revocation from the stream: milliseconds from its writing until it held here. */
  readonly revocationApplied: (lagMs: number) => void
  /** What is asked at each scrape. To be given once each, at boot. */
  readonly watch: {
    readonly requestsInFlight: (read: () => number) => void
    /** Streams of upstreams. */
    readonly openStreams: (read: () => number) => void
    /** Seconds; may be infinite. */
    readonly revocationLag: (read: () => number) => void
    /** Seconds; may be infinite. */
    readonly revocationSilence: (read: () => number) => void
    readonly revocationEntries: (read: () => number) => void
    /** Whether limits are kept by this process alone, because Redis is away. */
    readonly rateLimitFallback: (read: () => boolean) => void
    readonly droppedSpans: (read: () => number) => void
  }
  snapshot(): Promise<Snapshot>
}

export function createGatewayMetrics(): GatewayMetrics {
  const metrics = createMetrics()
  const decisions = metrics.counter({
    name: 'rate_limit_decisions_total',
    help: 'Requests that a rate limit let pass or turned away, by its class',
    labels: ['class', 'outcome'],
  })
  // The same pair nearly always: to find a series by its labels takes 0.4 us.
  let latest = { limitClass: '', outcome: '', counter: undefined as Counter | undefined }
  function decisionOf(limitClass: string, outcome: string): Counter {
    if (latest.counter !== undefined && latest.limitClass === limitClass && latest.outcome === outcome) {
      return latest.counter
    }
    const counter = decisions.labels(limitClass, outcome)
    latest = { limitClass, outcome, counter }
    return counter
  }
  let appliedLagMs = 0
  metrics.gauge(
    {
      name: 'revocation_applied_lag_seconds',
      help: 'Time from the writing of the latest revocation until it held here',
      aggregator: 'max',
    },
    () => appliedLagMs / 1000,
  )

  return {
    http: metrics.calls({
      counter: { name: 'http_requests_total', help: 'Requests answered' },
      histogram: {
        name: 'http_request_duration_seconds',
        help: 'Time from the head of a request to the end of its answer',
      },
      labels: ['method', 'route'],
      resultLabel: 'status_code',
      resultText: String,
    }),
    rpc: metrics.calls({
      counter: { name: 'rpc_client_requests_total', help: 'Calls to upstreams' },
      histogram: { name: 'rpc_client_request_duration_seconds', help: 'Time that a call to an upstream took' },
      labels: ['upstream', 'method'],
      resultLabel: 'code',
      resultText: codeName,
    }),
    rateLimited: (limitClass, outcome) => decisionOf(limitClass, outcome).inc(),
    revocationApplied(lagMs) {
      appliedLagMs = lagMs
    },
    watch: {
      requestsInFlight: read =>
        metrics.gauge({ name: 'http_requests_in_flight', help: 'Requests that are not answered yet' }, read),
      openStreams: read =>
        metrics.gauge({ name: 'upstream_streams_open', help: 'Streams of upstreams that have not ended' }, read),
      revocationLag: read =>
        metrics.gauge(
          {
            name: 'revocation_lag_seconds',
            help: 'Time since all revocations of the stream were last known; past 30 s tokens are refused',
            aggregator: 'max',
          },
          // Not known at all yet is as old as the process.
          () => Math.min(read(), performance.now() / 1000),
        ),
      revocationSilence: read =>
        metrics.gauge(
          {
            name: 'revocation_silence_seconds',
            help: 'Time since auth-svc last vouched that every revocation was sent; normally below 2 s',
            aggregator: 'max',
          },
          () => Math.min(read(), performance.now() / 1000),
        ),
      revocationEntries: read =>
        metrics.gauge({ name: 'revocation_entries', help: 'Revocations in memory', aggregator: 'max' }, read),
      rateLimitFallback: read =>
        metrics.gauge(
          { name: 'rate_limit_fallback', help: 'Processes that keep limits by themselves, because Redis is away' },
          () => Number(read()),
        ),
      droppedSpans: read => registerDroppedSpansMetric(metrics, read),
    },
    snapshot: () => metrics.snapshot(),
  }
}
