/**
 * The metrics of all workers as those of one gateway. prom-client's own AggregatorRegistry loses exemplars, writes
 * OpenMetrics' counters as `_total_total`, and lets a counter fall when a worker goes, which Prometheus takes for a
 * restart: here what a worker counted stays counted.
 */
import type { Worker } from 'node:cluster'
import type { Aggregator, Exemplar, MetricSnapshot, Sample, Snapshot } from '#runtime/observability/metric-snapshot.ts'

/** Milliseconds for a worker to answer; past them its last answer stands. */
const ANSWER_MS = 1000

interface Question {
  readonly kind: 'metrics?'
}

interface Answer {
  readonly kind: 'metrics'
  readonly snapshot: Snapshot
}

export const QUESTION: Question = { kind: 'metrics?' }

/** In a worker: what it answers to a message of the primary; undefined for one that does not ask for metrics. */
export async function answerMetrics(message: unknown, snapshot: () => Promise<Snapshot>): Promise<Answer | undefined> {
  if ((message as Partial<Question> | null)?.kind !== QUESTION.kind) return undefined
  return { kind: 'metrics', snapshot: await snapshot() }
}

/** In the primary. @param onFork takes who is told of each worker as it is made. */
export function collectFromWorkers(onFork: (watch: (worker: Worker) => void) => void): () => Promise<Snapshot> {
  const latest = new Map<Worker, Snapshot>()
  let departed: Snapshot = []

  /** What it counted until it last said so: at the latest scrape, and when it was about to go. */
  function watch(worker: Worker): void {
    latest.set(worker, [])
    worker.on('message', (message: Partial<Answer> | null) => {
      if (message?.kind === 'metrics' && message.snapshot !== undefined) latest.set(worker, message.snapshot)
    })
    worker.on('error', () => {
      // One that could not be made has no exit.
      if (worker.isDead()) latest.delete(worker)
    })
    worker.once('exit', () => {
      const counted = (latest.get(worker) ?? []).filter(({ type }) => type === 'counter' || type === 'histogram')
      departed = mergeSnapshots([departed, counted])
      latest.delete(worker)
    })
  }

  function ask(worker: Worker): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        worker.off('message', look)
        worker.off('exit', done)
        resolve()
      }
      const look = (message: Partial<Answer> | null) => {
        if (message?.kind === 'metrics') done()
      }
      const timer = setTimeout(done, ANSWER_MS)
      worker.on('message', look)
      worker.once('exit', done)
      worker.send(QUESTION)
    })
  }

  onFork(watch)
  return async () => {
    await Promise.all([...latest.keys()].filter(worker => worker.isConnected()).map(ask))
    return mergeSnapshots([...latest.values(), departed])
  }
}

const AGGREGATES: Record<Exclude<Aggregator, 'omit'>, (values: readonly number[]) => number> = {
  sum: values => values.reduce((sum, value) => sum + value, 0),
  first: ([value = 0]) => value,
  min: values => Math.min(...values),
  max: values => Math.max(...values),
  average: values => values.reduce((sum, value) => sum + value, 0) / values.length,
}

/** Sample by sample, as each metric says; of exemplars the latest stays. */
function mergeSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const byName = Map.groupBy(snapshots.flat(), ({ name }) => name)
  return [...byName.values()].flatMap(mergeMetric)
}

function mergeMetric(metrics: readonly MetricSnapshot[]): MetricSnapshot[] {
  const [first] = metrics
  if (first === undefined || first.aggregator === 'omit') return []
  const aggregate = AGGREGATES[first.aggregator]
  const alike = Map.groupBy(
    metrics.flatMap(({ values }) => values),
    ({ metricName, labels }) => JSON.stringify([metricName, labels]),
  )
  const values = [...alike.values()].map((samples): Sample => {
    const { metricName, labels } = samples[0] as Sample
    return { metricName, labels, value: aggregate(samples.map(({ value }) => value)), exemplar: latestOf(samples) }
  })
  return [{ ...first, values }]
}

function latestOf(samples: readonly Sample[]): Exemplar | undefined {
  const exemplars = samples.flatMap(({ exemplar }) => exemplar ?? [])
  return exemplars.reduce<Exemplar | undefined>(
    (latest, exemplar) => (latest === undefined || exemplar.timestamp > latest.timestamp ? exemplar : latest),
    undefined,
  )
}
