/**
 * Aggregates the metrics of all workers into those of one gateway. The values of a worker that has exited are kept, so
 * that counters never decrease.
 *
 * AggregatorRegistry of prom-client is not used: it drops exemplars, writes OpenMetrics counters as `_total_total`, and
 * decreases counters when a worker exits, which Prometheus interprets as a restart.
 */
import type { Worker } from 'node:cluster'
import type { Aggregator, Exemplar, MetricSnapshot, Sample, Snapshot } from '#runtime/observability/metric-snapshot.ts'

/**
 * Time for a worker to respond, in milliseconds. Then its previous snapshot is used. The health check of an upstream that
 * hangs takes 1,000.
 */
const RESPONSE_TIMEOUT_MS = 2000

interface MetricsRequest {
  readonly kind: 'metrics?'
}

interface MetricsResponse {
  readonly kind: 'metrics'
  readonly snapshot: Snapshot
}

export const METRICS_REQUEST: MetricsRequest = { kind: 'metrics?' }

/** Returns the response of a worker to a message of the primary; undefined if that is not a metrics request. */
export async function respondWithMetrics(
  message: unknown,
  snapshot: () => Promise<Snapshot>,
): Promise<MetricsResponse | undefined> {
  if ((message as Partial<MetricsRequest> | null)?.kind !== METRICS_REQUEST.kind) return undefined
  return { kind: 'metrics', snapshot: await snapshot() }
}

/**
 * Returns a function of the primary that requests the metrics of all workers and returns the aggregate, within 2 s.
 * @param onFork registers a listener for each worker that is forked.
 */
export function collectFromWorkers(onFork: (listener: (worker: Worker) => void) => void): () => Promise<Snapshot> {
  const latest = new Map<Worker, Snapshot>()
  /** Sum of the counters and histograms of workers that have exited. */
  let exited: Snapshot = []

  /** Keeps the latest snapshot of a worker. A worker sends one for each scrape, and a last one before it exits. */
  function trackWorker(worker: Worker): void {
    latest.set(worker, [])
    worker.on('message', (message: Partial<MetricsResponse> | null) => {
      if (message?.kind === 'metrics' && message.snapshot !== undefined) latest.set(worker, message.snapshot)
    })
    worker.on('error', () => {
      // A worker that could not be forked emits no `exit` event.
      if (worker.isDead()) latest.delete(worker)
    })
    worker.once('exit', () => {
      const counted = (latest.get(worker) ?? []).filter(({ type }) => type === 'counter' || type === 'histogram')
      exited = mergeSnapshots([exited, counted])
      latest.delete(worker)
    })
  }

  function requestMetrics(worker: Worker): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        worker.off('message', onMessage)
        worker.off('exit', done)
        resolve()
      }
      const onMessage = (message: Partial<MetricsResponse> | null) => {
        if (message?.kind === 'metrics') done()
      }
      const timer = setTimeout(done, RESPONSE_TIMEOUT_MS)
      worker.on('message', onMessage)
      worker.once('exit', done)
      worker.send(METRICS_REQUEST)
    })
  }

  onFork(trackWorker)
  return async () => {
    await Promise.all([...latest.keys()].filter(worker => worker.isConnected()).map(requestMetrics))
    return mergeSnapshots([...latest.values(), exited])
  }
}

const AGGREGATE: Record<Exclude<Aggregator, 'omit'>, (values: readonly number[]) => number> = {
  sum: values => values.reduce((sum, value) => sum + value, 0),
  first: ([value = 0]) => value,
  min: values => Math.min(...values),
  max: values => Math.max(...values),
  average: values => values.reduce((sum, value) => sum + value, 0) / values.length,
}

/** Merges samples with equal names and labels by the aggregator of their metric. The latest exemplar is kept. */
function mergeSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const byName = Map.groupBy(snapshots.flat(), ({ name }) => name)
  return [...byName.values()].flatMap(mergeMetric)
}

function mergeMetric(metrics: readonly MetricSnapshot[]): MetricSnapshot[] {
  const [first] = metrics
  if (first === undefined || first.aggregator === 'omit') return []
  const aggregate = AGGREGATE[first.aggregator]
  const bySeries = Map.groupBy(
    metrics.flatMap(({ values }) => values),
    ({ metricName, labels }) => JSON.stringify([metricName, labels]),
  )
  const values = [...bySeries.values()].map((samples): Sample => {
    const { metricName, labels } = samples[0] as Sample
    return {
      metricName,
      labels,
      value: aggregate(samples.map(({ value }) => value)),
      exemplar: latestExemplar(samples),
    }
  })
  return [{ ...first, values }]
}

function latestExemplar(samples: readonly Sample[]): Exemplar | undefined {
  const exemplars = samples.flatMap(({ exemplar }) => exemplar ?? [])
  return exemplars.reduce<Exemplar | undefined>(
    (latest, exemplar) => (latest === undefined || exemplar.timestamp > latest.timestamp ? exemplar : latest),
    undefined,
  )
}
