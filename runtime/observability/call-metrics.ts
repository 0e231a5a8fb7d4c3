/** Number and duration of calls: a counter and a histogram with the same labels, updated together. */
import type { SpanContext } from '@opentelemetry/api'
import { createLabelledSeries, type LabelledSeries } from './labelled-series.ts'
import type { Exemplar, Labels, MetricSnapshot, Sample } from './metric-snapshot.ts'

export interface MetricDescription {
  readonly name: string
  readonly help: string
}

export interface CallMetricsOptions {
  /** Counter of calls, such as `http_requests_total`. */
  readonly counter: MetricDescription
  /** Histogram of durations in seconds, such as `http_request_duration_seconds`. */
  readonly histogram: MetricDescription
  /** Names of the labels that are known before a call. */
  readonly labels: readonly string[]
  /** Name of the label that holds the result of a call: HTTP status or gRPC code. */
  readonly resultLabel: string
  /** Converts a result to the value of its label. */
  readonly resultText: (result: number) => string
}

export type CallMetrics = LabelledSeries<CallRecorder>

/** Upper bounds of the histogram buckets, in seconds. */
export const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

/** Records calls with the same labels. */
export class CallRecorder {
  readonly labels: Labels
  readonly series = new Map<number, CallSeries>()

  constructor(labels: Labels) {
    this.labels = labels
  }

  /**
   * Records a call that has ended.
   * @param result HTTP status or gRPC code.
   * @param spanContext ids of the call's span if that is recorded; they become an exemplar.
   */
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
      const exemplar = createExemplar(spanContext, seconds)
      series.exemplars[bucket] = exemplar
      series.latestExemplar = exemplar
    }
  }
}

class CallSeries {
  count = 0
  sum = 0
  readonly buckets: number[] = Array(BUCKETS.length + 1).fill(0)
  readonly exemplars: (Exemplar | undefined)[] = Array(BUCKETS.length + 1).fill(undefined)
  latestExemplar: Exemplar | undefined = undefined
}

function createExemplar({ traceId, spanId }: SpanContext, seconds: number): Exemplar {
  return { labelSet: { trace_id: copy(traceId), span_id: copy(spanId) }, value: seconds, timestamp: Date.now() / 1000 }
}

/** Copies an id, which is a slice of a longer string and would keep that in memory. */
function copy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** Creates the counter and the histogram and passes both to `register`. */
export function createCallMetrics(
  options: CallMetricsOptions,
  register: (about: Omit<MetricSnapshot, 'values'>, read: () => readonly Sample[]) => void,
): CallMetrics {
  const { counter, histogram, resultLabel, resultText } = options
  const recorders = createLabelledSeries(options.labels, labels => new CallRecorder(labels))
  const samplesOf = (toSamples: (series: CallSeries, labels: Labels) => Sample[]) => () =>
    recorders
      .all()
      .flatMap(({ labels, series }) =>
        [...series].flatMap(([result, one]) => toSamples(one, { ...labels, [resultLabel]: resultText(result) })),
      )
  register({ ...counter, type: 'counter', aggregator: 'sum' }, samplesOf(counterSamples))
  register(
    { ...histogram, type: 'histogram', aggregator: 'sum' },
    samplesOf((series, labels) => histogramSamples(histogram.name, series, labels)),
  )
  return recorders
}

function counterSamples({ count, latestExemplar }: CallSeries, labels: Labels): Sample[] {
  return [{ value: count, labels, exemplar: latestExemplar && { ...latestExemplar, value: 1 } }]
}

/** Cumulative buckets with their upper bound as the label `le`, then sum and count. */
function histogramSamples(name: string, series: CallSeries, labels: Labels): Sample[] {
  const { buckets, exemplars, sum, count } = series
  let cumulative = 0
  const bounds: (string | number)[] = [...BUCKETS, '+Inf']
  return [
    ...bounds.map((le, index) => {
      cumulative += buckets[index] ?? 0
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: cumulative, exemplar: exemplars[index] }
    }),
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]
}
