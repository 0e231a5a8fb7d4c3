/**
 * Tracing: the SDK is set up here and nowhere else; the rest of the code uses @opentelemetry/api.
 *
 * Ids always run through, spans are recorded for sampled requests only: with the SDK's instrumentations even 1 % of
 * sampling doubled the gateway's cost of a request (measured: 74 -> 127 us).
 */
import { randomBytes } from 'node:crypto'
import {
  type Context,
  context,
  createTraceState,
  isSpanContextValid,
  type Span,
  type SpanContext,
  SpanKind,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { AlwaysOnSampler, BatchSpanProcessor, ParentBasedSampler } from '@opentelemetry/sdk-trace'

export interface TelemetryOptions {
  service: string
  /** OTLP/HTTP base URL; undefined records nothing. */
  endpoint: string | undefined
}

/** Starts the SDK. The queue is bounded: a collector that is down or slow costs spans, never requests. */
export function startTelemetry(options: TelemetryOptions): { shutdown(): Promise<void> } {
  const spanProcessors =
    options.endpoint === undefined
      ? []
      : [
          new BatchSpanProcessor({
            exporter: new OTLPTraceExporter({ url: new URL('/v1/traces', options.endpoint).href }),
            maxQueueSize: 2048,
            maxExportBatchSize: 512,
            scheduledDelayMillis: 1000,
            exportTimeoutMillis: 5000,
          }),
        ]
  const sdk = new NodeSDK({
    serviceName: options.service,
    autoDetectResources: false,
    spanProcessors,
    metricReaders: [],
    logRecordProcessors: [],
    // The decision is taken before a span is started, in `startRequestTrace`.
    sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
  })
  sdk.start()
  return { shutdown: () => sdk.shutdown() }
}

/** What a request knows of its trace. `span` is there only when the request is sampled. */
export interface RequestTrace {
  readonly context: Context
  readonly spanContext: SpanContext
  readonly span: Span | undefined
}

export interface TraceHeaders {
  traceparent: string | undefined
  tracestate: string | undefined
}

/**
 * Begins the part that this process has in a trace.
 * @param trusted whether the caller's sampled flag counts: between our processes it does, a client's does not.
 * @param ratio the share of requests to sample where the caller's flag does not count.
 */
export function startRequestTrace(
  name: string,
  headers: TraceHeaders,
  { trusted, ratio = 0 }: { trusted: boolean; ratio?: number },
): RequestTrace {
  const parent = parseTraceparent(headers.traceparent, headers.tracestate)
  const traceId = parent?.traceId ?? randomHex(16)
  // By chance of our own: the trace id may be a client's, and so would be the decision.
  const sampled = trusted && parent !== undefined ? isSampled(parent) : Math.random() < ratio
  const local: SpanContext = {
    traceId,
    spanId: randomHex(8),
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    ...(parent?.traceState && { traceState: parent.traceState }),
  }
  if (!sampled) return { context: trace.setSpanContext(context.active(), local), spanContext: local, span: undefined }

  const remote = { ...local, spanId: parent?.spanId ?? local.spanId, isRemote: true }
  const span = trace
    .getTracer('gatehouse')
    .startSpan(name, { kind: SpanKind.SERVER }, trace.setSpanContext(context.active(), remote))
  const recorded = span.isRecording()
  const spanContext = recorded ? span.spanContext() : local
  return {
    context: recorded ? trace.setSpan(context.active(), span) : trace.setSpanContext(context.active(), local),
    spanContext,
    span: recorded ? span : undefined,
  }
}

/** The headers that carry a trace onward, W3C Trace Context section 3. */
export function traceHeaders(spanContext: SpanContext): { traceparent: string; tracestate?: string } {
  const flags = spanContext.traceFlags.toString(16).padStart(2, '0')
  const tracestate = spanContext.traceState?.serialize()
  return {
    traceparent: `00-${spanContext.traceId}-${spanContext.spanId}-${flags}`,
    ...(tracestate && { tracestate }),
  }
}

/** The trace that the running code belongs to. */
export function activeSpanContext(): SpanContext | undefined {
  return trace.getSpanContext(context.active())
}

// version "-" trace-id "-" parent-id "-" flags; a version above 00 may append fields, 00 may not (section 3.2.2).
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

export function parseTraceparent(header: string | undefined, tracestate?: string): SpanContext | undefined {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  if (match === null) return undefined
  const [, version, traceId = '', spanId = '', flags = '', rest] = match
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined
  const parsed: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
  }
  if (!isSpanContextValid(parsed)) return undefined
  return tracestate === undefined || tracestate.length > 512
    ? parsed
    : { ...parsed, traceState: createTraceState(tracestate) }
}

function isSampled(spanContext: SpanContext): boolean {
  return (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0
}

function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
