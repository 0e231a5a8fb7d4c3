/** The values of all metrics of a process at one time, in the JSON format of prom-client. */

/** Can be sent to another process as JSON. */
export type Snapshot = readonly MetricSnapshot[]

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** How the values of several processes are combined. */
  readonly aggregator: Aggregator
  readonly values: readonly Sample[]
}

export type Aggregator = 'sum' | 'first' | 'min' | 'max' | 'average' | 'omit'

export interface Sample {
  readonly value: number
  readonly labels: Labels
  /** Name of the sample if it differs from that of the metric, such as `…_bucket` of a histogram. */
  readonly metricName?: string | undefined
  readonly exemplar?: Exemplar | null | undefined
}

export type Labels = Readonly<Record<string, string | number>>

/** A trace that contributed to a sample (OpenMetrics). */
export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>
  readonly value: number
  /** Seconds since the epoch. */
  readonly timestamp: number
}
