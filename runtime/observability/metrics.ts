/**
 * Metrics: prom-client holds the registry and the metrics of the runtime.
 *
 * What is counted on each request is counted here, in numbers that belong to one set of labels and are found at boot:
 * prom-client makes a key of the labels each time, which measured 0.6 us for a counter and a histogram, 0.9 us for a
 * histogram with an exemplar; ours 0.02 and 0.35. A counter and a histogram of the same calls share one record.
 */
import type { SpanContext } from '@opentelemetry/api'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import { Code } from '../status.ts'

/** The metrics of a process at one time, as they can be sent to another. */
export type Snapshot = readonly MetricSnapshot[]

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** What the values of several processes come to. */
  readonly aggregator: Aggregator
  readonly values: readonly Sample[]
}

export type Aggregator = 'sum' | 'first' | 'min' | 'max' | 'average' | 'omit'

export interface Sample {
  readonly value: number
  readonly labels: Labels
  /** Where it is not the metric's, as with a histogram's buckets. */
  readonly metricName?: string | undefined
  readonly exemplar?: Exemplar | null | undefined
}

export type Labels = Readonly<Record<string, string | number>>

export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>
  readonly value: number
  /** Seconds since the epoch. */
  readonly timestamp: number
}

interface Description {
  readonly name: string
  readonly help: string
}

interface LabelledDescription extends Description {
  readonly labels: readonly string[]
}

export interface Metrics {
  /** Calls of one kind: how many, and how long they took, by their labels and result. */
  calls(options: CallsOptions): CallMetrics
  /** What only grows, by labels. */
  counter(about: LabelledDescription): CounterMetric
  /** What only grows and is counted elsewhere, read at each scrape. */
  total(about: Description, read: () => number): void
  /** What is read at each scrape. */
  gauge(about: Description & { aggregator?: Aggregator }, read: () => number): void
  snapshot(): Promise<Snapshot>
}

/** A registry with what prom-client tells of the runtime: event loop, garbage, heap, CPU, file descriptors. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })

  function register(about: Omit<MetricSnapshot, 'values'>, read: () => readonly Sample[]): void {
    // What prom-client asks of a metric is `get`; its types know its own classes only.
    registry.registerMetric({ ...about, get: async () => ({ ...about, values: read() }) } as unknown as Metric)
  }

  return {
    calls: options => registerCalls(options, register),
    counter({ labels: names, ...about }) {
      const counters = createFamily(names, labels => new Counter(labels))
      register({ ...about, type: 'counter', aggregator: 'sum' }, counters.all)
      return counters
    },
    total: (about, read) =>
      register({ ...about, type: 'counter', aggregator: 'sum' }, () => [{ value: read(), labels: {} }]),
    gauge({ aggregator = 'sum', ...about }, read) {
      register({ ...about, type: 'gauge', aggregator }, () => [{ value: read(), labels: {} }])
    },
    async snapshot() {
      const metrics = (await registry.getMetricsAsJSON()) as unknown as MetricSnapshot[]
      // Such as the mean of no event-loop delays; JSON, by which snapshots are sent, has no word for it.
      return metrics.map(metric => ({ ...metric, values: metric.values.filter(({ value }) => Number.isFinite(value)) }))
    },
  }
}

type Register = (about: Omit<MetricSnapshot, 'values'>, read: () => readonly Sample[]) => void

/** What there is for each set of labels. */
interface Family<T> {
  /**
   * The same labels get the same; each keeps its series for ever, so what a client can choose is no label.
   * @param values of the labels in their order.
   */
  of(...values: string[]): T
}

export type CounterMetric = Family<Counter>

function createFamily<T>(names: readonly string[], create: (labels: Labels) => T): Family<T> & { all(): T[] } {
  const members = new Map<string, T>()
  return {
    of(...values) {
      const key = values.join('\n')
      let member = members.get(key)
      if (member === undefined) {
        member = create(Object.fromEntries(names.map((name, index) => [name, values[index] ?? ''])))
        members.set(key, member)
      }
      return member
    },
    all: () => [...members.values()],
  }
}

export class Counter {
  readonly labels: Labels
  value = 0

  constructor(labels: Labels) {
    this.labels = labels
  }

  inc(): void {
    this.value++
  }
}

export interface CallsOptions {
  /** Of the counter, such as `http_requests_total`. */
  readonly counter: Description
  /** Of the histogram, in seconds, such as `http_request_duration_seconds`. */
  readonly histogram: Description
  readonly labels: readonly string[]
  /** One label more, which holds the result: of the HTTP status, or of the gRPC code. */
  readonly resultLabel: string
  readonly resultText: (result: number) => string
}

export type CallMetrics = Family<CallRecorder>

/** Upper bounds of a duration in seconds. */
export const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

/** The calls of one set of labels, by their result. */
export class CallRecorder {
  readonly labels: Labels
  readonly series = new Map<number, CallSeries>()

  constructor(labels: Labels) {
    this.labels = labels
  }

  /** @param spanContext of a call whose span is recorded: it becomes an exemplar of its bucket. */
  record(result: number, seconds: number, spanContext?: SpanContext): void {
    let series = this.series.get(result)
    if (series === undefined) {
      series = new CallSeries()
      this.series.set(result, series)
    }
    let bucket = 0
    while (bucket < BUCKETS.length && seconds > (BUCKETS[bucket] as number)) bucket++
    series.buckets[bucket] = (series.buckets[bucket] as number) + 1
    series.count++
    series.sum += seconds
    if (spanContext !== undefined) {
      const exemplar = exemplarOf(spanContext, seconds)
      series.exemplars[bucket] = exemplar
      series.latest = exemplar
    }
  }
}

class CallSeries {
  count = 0
  sum = 0
  readonly buckets: number[] = Array(BUCKETS.length + 1).fill(0)
  readonly exemplars: (Exemplar | undefined)[] = Array(BUCKETS.length + 1).fill(undefined)
  latest: Exemplar | undefined = undefined
}

function exemplarOf({ traceId, spanId }: SpanContext, seconds: number): Exemplar {
  return { labelSet: { trace_id: copy(traceId), span_id: copy(spanId) }, value: seconds, timestamp: Date.now() / 1000 }
}

/** An id is cut from a longer string, which it keeps in memory. */
function copy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function registerCalls(options: CallsOptions, register: Register): CallMetrics {
  const { counter, histogram, resultLabel, resultText } = options
  const recorders = createFamily(options.labels, labels => new CallRecorder(labels))
  const each = (toSamples: (series: CallSeries, labels: Labels) => Sample[]) => () =>
    recorders
      .all()
      .flatMap(({ labels, series }) =>
        [...series].flatMap(([result, one]) => toSamples(one, { ...labels, [resultLabel]: resultText(result) })),
      )
  register({ ...counter, type: 'counter', aggregator: 'sum' }, each(countOf))
  register(
    { ...histogram, type: 'histogram', aggregator: 'sum' },
    each((series, labels) => histogramOf(histogram.name, series, labels)),
  )
  return recorders
}

function countOf({ count, latest }: CallSeries, labels: Labels): Sample[] {
  return [{ value: count, labels, exemplar: latest && { ...latest, value: 1 } }]
}

/** As prom-client has it: buckets are cumulative, and each tells its upper bound. */
function histogramOf(name: string, { buckets, exemplars, sum, count }: CallSeries, labels: Labels): Sample[] {
  let below = 0
  const bounds: (string | number)[] = [...BUCKETS, '+Inf']
  return [
    ...bounds.map((le, index) => {
      below += buckets[index] ?? 0
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below, exemplar: exemplars[index] }
    }),
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]
}

// What more than one process has.

/** Calls that a server answered, by method. */
export function watchRpc(metrics: Metrics): CallMetrics {
  return metrics.calls({
    counter: { name: 'rpc_server_requests_total', help: 'Calls answered' },
    histogram: { name: 'rpc_server_request_duration_seconds', help: 'Time that a call took, streams to their end' },
    labels: ['method'],
    resultLabel: 'code',
    resultText: codeText,
  })
}

export const codeText = (code: number) => Code[code] ?? 'UNKNOWN'

export interface PoolState {
  readonly total: number
  readonly idle: number
  /** Who waits for a connection. */
  readonly waiting: number
  /** Statements under way on the connections beside the pool, on which they do not wait for each other. */
  readonly pipelined: number
}

export function watchPool(metrics: Metrics, read: () => PoolState): void {
  metrics.gauge({ name: 'db_pool_connections', help: 'Connections to PostgreSQL' }, () => read().total)
  metrics.gauge(
    { name: 'db_pool_idle_connections', help: 'Connections to PostgreSQL that nobody uses' },
    () => read().idle,
  )
  metrics.gauge(
    { name: 'db_pool_waiting', help: 'Work that waits for a connection to PostgreSQL' },
    () => read().waiting,
  )
  metrics.gauge(
    { name: 'db_pipelined_statements', help: 'Prepared statements under way on connections beside the pool' },
    () => read().pipelined,
  )
}

export function watchDroppedSpans(metrics: Metrics, read: () => number): void {
  metrics.total({ name: 'trace_spans_dropped_total', help: 'Spans recorded that reached no collector' }, read)
}
