/**
 * Tracing: the SDK is set up here and nowhere else; the rest of the code uses @opentelemetry/api.
 *
 * Ids run through always, spans are made by hand and for sampled requests only: with the SDK's instrumentations even 1 %
 * of sampling doubled the gateway's cost of a request (measured: 74 -> 127 us). A span gets its ids when it begins, and
 * is made when it has ended: what is not recorded costs nothing in between, and what turns out to be worth it can be
 * recorded after all.
 */
import { randomFillSync } from 'node:crypto'
import {
  type Attributes,
  type Context,
  type Counter,
  context,
  createNoopMeter,
  type Meter,
  type MeterProvider,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { parseTraceContext, traceparentOf } from './trace-context.ts'

export interface TelemetryOptions {
  service: string
  /** OTLP/HTTP base URL; undefined records nothing. */
  endpoint: string | undefined
  /** How spans are written. JSON takes less CPU than this SDK's protobuf; a few collectors do not read it. */
  protocol?: OtlpProtocol
  /** Milliseconds that a batch waits to become full, and that a collector has to take it. */
  exportDelayMs?: number
  exportTimeoutMs?: number
}

export type OtlpProtocol = 'http/protobuf' | 'http/json'

export interface Telemetry {
  /** Spans that were recorded and reached no collector, because the queue was full or an export failed. */
  droppedSpans(): number
  /** Sends what is queued. It is no failure when the collector does not take it: what is lost counts as dropped. */
  shutdown(): Promise<void>
}

let tracer: Tracer | undefined

/** Starts the SDK. The queue is bounded: a collector that is down or slow costs spans, never requests. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, endpoint, protocol = 'http/protobuf', exportDelayMs = 1000, exportTimeoutMs = 4000 } = options
  if (endpoint === undefined) {
    // What runs in a request is known to be its, for the log; of the SDK, 30 MB of a process, nothing else is needed.
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
    // After the exporter has given up by itself and said so.
    exportTimeoutMillis: exportTimeoutMs + 500,
    selfObsMeterProvider: countDropped(onDropped),
  })
  const sdk = new NodeSDK({
    serviceName: service,
    autoDetectResources: false,
    spanProcessors: [spanProcessor],
    metricReaders: [],
    logRecordProcessors: [],
    // Both were decided when the request began.
    sampler: new AlwaysOnSampler(),
    idGenerator: {
      generateTraceId: () => recording?.traceId ?? randomHex(16),
      generateSpanId: () => recording?.spanId ?? randomHex(8),
    },
  })
  sdk.start()
  tracer = trace.getTracer('gatehouse')
  return { droppedSpans: () => dropped, shutdown: () => sdk.shutdown().catch(() => {}) }
}

/** The processor tells of itself by metrics only; of these, what went wrong is counted. */
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

/** What a request knows of its trace. */
export interface RequestTrace {
  /** Of this process's span of the request. Its sampled flag says whether that is recorded. */
  readonly spanContext: SpanContext
  /** Of the caller's span. */
  readonly parent: SpanContext | undefined
  /** The header that makes `spanContext` the parent of what is called. */
  readonly traceparent: string
  /** By `performance.now()`. */
  readonly startedAt: number
  /** For `context.with`: what runs in it belongs to the request. */
  readonly context: Context
}

/**
 * Begins the part that this process has in a trace which came with a client's request.
 * @param tracestate of several headers: joined by commas, in order.
 * @param ratio the share of requests to sample. The client's sampled flag does not count.
 */
export function acceptTrace(
  traceparent: string | undefined,
  tracestate: string | undefined,
  ratio: number,
): RequestTrace {
  // By chance of our own: the trace id may be a client's, and so would be the decision.
  return beginTrace(parseTraceContext(traceparent, tracestate), Math.random() < ratio)
}

/** The same behind the edge, where the caller is one of ours and has decided on sampling. */
export function continueTrace(traceparent: string | undefined, tracestate: string | undefined): RequestTrace {
  const parent = parseTraceContext(traceparent, tracestate)
  return beginTrace(parent, isSampled(parent))
}

function beginTrace(parent: SpanContext | undefined, sampled: boolean): RequestTrace {
  const spanContext: SpanContext = {
    traceId: parent === undefined ? randomHex(16) : parent.traceId,
    spanId: randomHex(8),
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    traceState: parent?.traceState,
  }
  return {
    spanContext,
    parent,
    traceparent: traceparentOf(spanContext),
    startedAt: performance.now(),
    context: new SpanInContext(spanContext),
  }
}

/**
 * A context that holds a span's ids and nothing else. The API's own is a map with functions around it; this one makes that
 * when it is first asked, which few requests do.
 */
class SpanInContext implements Context {
  readonly #spanContext: SpanContext
  #made: Context | undefined

  constructor(spanContext: SpanContext) {
    this.#spanContext = spanContext
  }

  getValue(key: symbol): unknown {
    return this.#own().getValue(key)
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#own().setValue(key, value)
  }

  deleteValue(key: symbol): Context {
    return this.#own().deleteValue(key)
  }

  #own(): Context {
    this.#made ??= trace.setSpanContext(ROOT_CONTEXT, this.#spanContext)
    return this.#made
  }
}

/** The trace that the running code belongs to. */
export function activeSpanContext(): SpanContext | undefined {
  return trace.getSpanContext(context.active())
}

export function isSampled(spanContext: SpanContext | undefined): spanContext is SpanContext {
  return spanContext !== undefined && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0
}

/** The ids of a span below another, to be recorded when it has ended. */
export function childOf(parent: SpanContext): SpanContext {
  return { ...parent, spanId: randomHex(8), isRemote: false }
}

export interface EndedSpan {
  /** Low in cardinality, as are all names of spans. */
  readonly name: string
  readonly kind: SpanKind
  /** Its ids since it began. */
  readonly spanContext: SpanContext
  readonly parent: SpanContext | undefined
  /** By `performance.now()`. */
  readonly startedAt: number
  /** By the semantic conventions of OpenTelemetry 1.45. */
  readonly attributes: Attributes
  /** The class of failure, low in cardinality, that makes it an error. */
  readonly errorType?: string | undefined
  readonly events?: readonly SpanEvent[]
}

export interface SpanEvent {
  readonly name: string
  /** By `performance.now()`. */
  readonly at: number
  readonly attributes: Attributes
}

/** What the SDK is to give as ids to the span that is being made. */
let recording: SpanContext | undefined

/** Exports a span that ends now. To call it is to decide for it: no flag is looked at. */
export function recordSpan(ended: EndedSpan): void {
  if (tracer === undefined) return
  const { name, kind, startedAt, attributes, parent, errorType, events = [] } = ended
  recording = ended.spanContext
  const parentContext = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
  const zero = epochOfClock()
  const span = tracer.startSpan(name, { kind, startTime: zero + startedAt, attributes }, parentContext)
  recording = undefined
  for (const event of events) span.addEvent(event.name, event.attributes, zero + event.at)
  if (errorType !== undefined) span.setAttribute('error.type', errorType).setStatus({ code: SpanStatusCode.ERROR })
  span.end(zero + performance.now())
}

const TOLERATED_DRIFT_MS = 10
let epoch = performance.timeOrigin

/** What the wall clock shows when `performance.now()` is 0: in microseconds, while the two go alike. */
function epochOfClock(): number {
  const drift = Date.now() - performance.now() - epoch
  if (Math.abs(drift) > TOLERATED_DRIFT_MS) epoch += drift
  return epoch
}

/** A call of another process, which ends now with this gRPC code by its name. */
export function recordCall(call: Omit<EndedSpan, 'kind' | 'errorType'> & { readonly code: string }): void {
  const { code, ...ended } = call
  recordSpan({
    ...ended,
    kind: SpanKind.CLIENT,
    attributes: {
      'rpc.system.name': 'grpc',
      'rpc.method': ended.name,
      'rpc.status_code': code,
      ...ended.attributes,
    },
    errorType: code === 'OK' ? undefined : code,
  })
}

const TARGET = /^(?:(?:dns|ipv4|ipv6|unix|passthrough):(?:\/\/[^/]*\/)?)?(.+?)(?::(\d+))?$/

/** The attributes of a server by its authority or by its gRPC target, such as `dns:///auth-svc:50051`. */
export function serverOf(target: string): Attributes {
  const [, host, port] = TARGET.exec(target) ?? []
  return { 'server.address': host, 'server.port': port === undefined ? undefined : Number(port) }
}

/** What is asked of another system, made once for all times that it is asked. */
export interface ClientOperation {
  readonly name: string
  readonly attributes: Attributes
}

/** Runs what asks another system, as a span below `parent` if that is sampled; else it is just run. */
export function withSpan<R>(
  parent: SpanContext | undefined,
  operation: ClientOperation,
  work: () => Promise<R>,
): Promise<R> {
  return isSampled(parent) ? recordWork(parent, operation, work) : work()
}

async function recordWork<R>(parent: SpanContext, operation: ClientOperation, work: () => Promise<R>): Promise<R> {
  const startedAt = performance.now()
  let errorType: string | undefined
  try {
    return await work()
  } catch (error) {
    errorType = error instanceof Error ? error.name : '_OTHER'
    throw error
  } finally {
    recordSpan({ ...operation, kind: SpanKind.CLIENT, spanContext: childOf(parent), parent, startedAt, errorType })
  }
}

// Random digits in stock: 24 bytes a request cost 0.06 us from here and 4.8 us by two calls of randomBytes. An id that is
// kept keeps these 8 KiB.
const stock = Buffer.allocUnsafeSlow(4096)
let digits = ''
let next = 0

function randomHex(bytes: number): string {
  if (next + bytes * 2 > digits.length) {
    digits = randomFillSync(stock).toString('hex')
    next = 0
  }
  const start = next
  next += bytes * 2
  return digits.slice(start, next)
}
