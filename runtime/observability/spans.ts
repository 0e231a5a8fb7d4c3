/**
 * Recording of spans.
 *
 * A span gets its ids when it starts and is created in the SDK when it ends. An unrecorded span costs nothing in
 * between, and a request can be recorded after the fact, for example because it failed.
 */
import {
  type Attributes,
  context,
  ROOT_CONTEXT,
  type SpanContext,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { randomHex } from './random-ids.ts'

let tracer: Tracer | undefined

/** Sets the tracer that spans are created with. Without a tracer `recordSpan` does nothing. */
export function setTracer(value: Tracer): void {
  tracer = value
}

/** Returns the ids of the span that the running code belongs to; undefined outside of a request. */
export function activeSpanContext(): SpanContext | undefined {
  return trace.getSpanContext(context.active())
}

/** Returns ids for a new span below `parent`, to be passed to `recordSpan` when it ends. */
export function childSpanContext(parent: SpanContext): SpanContext {
  return { ...parent, spanId: randomHex(8), isRemote: false }
}

export interface EndedSpan {
  /** Name of low cardinality, such as `user.v1.UserService/GetMe`. */
  readonly name: string
  readonly kind: SpanKind
  /** Ids that were assigned when the span started. */
  readonly spanContext: SpanContext
  readonly parent: SpanContext | undefined
  /** `performance.now()` at the start. */
  readonly startedAt: number
  /** Attributes by the OpenTelemetry semantic conventions 1.45. */
  readonly attributes: Attributes
  /** Class of the error, of low cardinality (attribute `error.type`). Absent for success. */
  readonly errorType?: string | undefined
  readonly events?: readonly SpanEvent[]
}

export interface SpanEvent {
  readonly name: string
  /** `performance.now()` at the event. */
  readonly at: number
  readonly attributes: Attributes
}

/** Ids for the span that the SDK is creating. */
let recording: SpanContext | undefined

/** The SDK's IdGenerator: returns the ids of the span that `recordSpan` records. */
export const spanIdGenerator = {
  generateTraceId: () => recording?.traceId ?? randomHex(16),
  generateSpanId: () => recording?.spanId ?? randomHex(8),
}

/** Exports a span that ends now. Does not check the sampled flag; the caller has decided that the span is recorded. */
export function recordSpan(ended: EndedSpan): void {
  if (tracer === undefined) return
  const { name, kind, startedAt, attributes, parent, errorType, events = [] } = ended
  recording = ended.spanContext
  const parentContext = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
  const zero = monotonicEpoch()
  const span = tracer.startSpan(name, { kind, startTime: zero + startedAt, attributes }, parentContext)
  recording = undefined
  for (const event of events) span.addEvent(event.name, event.attributes, zero + event.at)
  if (errorType !== undefined) span.setAttribute('error.type', errorType).setStatus({ code: SpanStatusCode.ERROR })
  span.end(zero + performance.now())
}

const MAX_CLOCK_DRIFT_MS = 10
let epoch = performance.timeOrigin

/**
 * Returns the wall-clock time at which `performance.now()` was 0, in milliseconds since the epoch with microseconds as
 * decimals. It is corrected when the two clocks differ by more than 10 ms.
 */
function monotonicEpoch(): number {
  const drift = Date.now() - performance.now() - epoch
  if (Math.abs(drift) > MAX_CLOCK_DRIFT_MS) epoch += drift
  return epoch
}
