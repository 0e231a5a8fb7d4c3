/**
 * Set-up of the OpenTelemetry SDK, in this file only; the rest of the code uses @opentelemetry/api.
 *
 * Spans are recorded by hand and for sampled requests only. The instrumentations of the SDK raised the gateway's CPU
 * time per request from 74 to 127 us at a sampling ratio of 1 %.
 */
import { type Counter, context, createNoopMeter, type Meter, type MeterProvider, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import type { Metrics } from './metrics.ts'
import { setTracer, spanIdGenerator } from './spans.ts'

export interface TelemetryOptions {
  /** The `service.name` of the resource. */
  service: string
  /** Base URL of the OTLP/HTTP collector. Spans are not recorded if undefined; trace ids are propagated in any case. */
  endpoint: string | undefined
  /** Encoding of spans. Default `http/protobuf`. JSON takes less CPU time in this SDK, but some collectors lack it. */
  protocol?: OtlpProtocol
  /** Maximum time that a span waits for its batch to fill, in milliseconds. Default 1,000. */
  exportDelayMs?: number
  /** Maximum time of an export request, in milliseconds. Default 4,000. The batch is then dropped and counted. */
  exportTimeoutMs?: number
}

export type OtlpProtocol = 'http/protobuf' | 'http/json'

export interface Telemetry {
  /** Number of recorded spans that were not exported because the queue was full or an export failed. */
  droppedSpans(): number
  /** Exports the queued spans and stops. Resolves also if the export fails; those spans count as dropped. */
  shutdown(): Promise<void>
}

/**
 * Starts the SDK.
 *
 * Spans wait in a queue of at most 2,048 and are exported in batches of at most 512. A collector that is slow or down
 * causes dropped spans and never delays a request.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, endpoint, protocol = 'http/protobuf', exportDelayMs = 1000, exportTimeoutMs = 4000 } = options
  if (endpoint === undefined) {
    // The log needs the active context; without spans the rest of the SDK would only cost 30 MB of memory.
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    return { droppedSpans: () => 0, shutdown: async () => {} }
  }
  const { NodeSDK } = await import('@opentelemetry/sdk-node')
  const { AlwaysOnSampler, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace')
  const { OTLPTraceExporter } = await (protocol === 'http/json'
    ? import('@opentelemetry/exporter-trace-otlp-http')
    : import('@opentelemetry/exporter-trace-otlp-proto'))
  let dropped = 0
  const onDropped = (count: number) => {
    dropped += count
  }
  const spanProcessor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter({
      url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
      timeoutMillis: exportTimeoutMs,
    }),
    maxQueueSize: 2048,
    maxExportBatchSize: 512,
    scheduledDelayMillis: exportDelayMs,
    // Later than the timeout of the exporter, which reports the failed batch.
    exportTimeoutMillis: exportTimeoutMs + 500,
    selfObsMeterProvider: countDropped(onDropped),
  })
  const sdk = new NodeSDK({
    serviceName: service,
    autoDetectResources: false,
    spanProcessors: [spanProcessor],
    metricReaders: [],
    logRecordProcessors: [],
    // Sampling is decided and ids are assigned when the request starts.
    sampler: new AlwaysOnSampler(),
    idGenerator: spanIdGenerator,
  })
  sdk.start()
  setTracer(trace.getTracer('gatehouse'))
  return { droppedSpans: () => dropped, shutdown: () => sdk.shutdown().catch(() => {}) }
}

/** Registers the metric `trace_spans_dropped_total`. */
export function registerDroppedSpansMetric(metrics: Metrics, read: () => number): void {
  metrics.counterFrom({ name: 'trace_spans_dropped_total', help: 'Recorded spans that were not exported' }, read)
}

/** A meter provider that counts failed spans: the span processor reports them through its own metrics only. */
function countDropped(onDropped: (count: number) => void): MeterProvider {
  const noop = createNoopMeter()
  const processed: Counter = {
    add: (count, attributes = {}) => {
      if ('error.type' in attributes) onDropped(count)
    },
  }
  const createCounter: Meter['createCounter'] = (name, options) =>
    name === 'otel.sdk.processor.span.processed' ? processed : noop.createCounter(name, options)
  const meter: Meter = Object.create(noop, { createCounter: { value: createCounter } })
  return { getMeter: () => meter }
}
