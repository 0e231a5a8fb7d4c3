/** The trace of a request: the parent span from the request headers, and a new span for this process. */
import { type Context, ROOT_CONTEXT, type SpanContext, TraceFlags, trace } from '@opentelemetry/api'
import { randomHex } from './random-ids.ts'
import { formatTraceparent, isSampled, parseTraceContext, RANDOM_TRACE_ID } from './trace-context.ts'

/** The trace that a request belongs to. */
export interface RequestTrace {
  /** Ids of the request's span in this process. The sampled flag says whether the span is recorded. */
  readonly spanContext: SpanContext
  /** Ids of the peer's span; undefined if the request had no valid `traceparent`. */
  readonly parent: SpanContext | undefined
  /** The `traceparent` header that makes `spanContext` the parent of an outgoing request. */
  readonly traceparent: string
  /** `performance.now()` at the start of the request. */
  readonly startedAt: number
  /** Argument of `context.with`, for code that runs as part of the request. */
  readonly context: Context
}

/**
 * Starts the trace of a client's request. The trace id of the client is kept; its sampled flag is ignored.
 * @param tracestate several headers joined by commas, in order.
 * @param ratio share of requests to sample, from 0 to 1.
 */
export function acceptTrace(
  traceparent: string | undefined,
  tracestate: string | undefined,
  ratio: number,
): RequestTrace {
  // Not derived from the trace id: a client can choose that, and would choose whether it is sampled.
  return startTrace(parseTraceContext(traceparent, tracestate), Math.random() < ratio)
}

/** Continues the trace of a call from another service of this system, and its sampling decision. */
export function continueTrace(traceparent: string | undefined, tracestate: string | undefined): RequestTrace {
  const parent = parseTraceContext(traceparent, tracestate)
  return startTrace(parent, isSampled(parent))
}

function startTrace(parent: SpanContext | undefined, sampled: boolean): RequestTrace {
  const spanContext: SpanContext = {
    traceId: parent === undefined ? randomHex(16) : parent.traceId,
    spanId: randomHex(8),
    // Trace Context Level 2, section 3.2.2.5.2: the flag stays with the trace id that it describes.
    traceFlags:
      (sampled ? TraceFlags.SAMPLED : TraceFlags.NONE) | ((parent?.traceFlags ?? RANDOM_TRACE_ID) & RANDOM_TRACE_ID),
    traceState: parent?.traceState,
  }
  return {
    spanContext,
    parent,
    traceparent: formatTraceparent(spanContext),
    startedAt: performance.now(),
    context: new SpanContextOnly(spanContext),
  }
}

/** A context with the ids of a span only. Creates a context of the API, a map with closures, on first access. */
class SpanContextOnly implements Context {
  readonly #spanContext: SpanContext
  #context: Context | undefined

  constructor(spanContext: SpanContext) {
    this.#spanContext = spanContext
  }

  getValue(key: symbol): unknown {
    return this.#get().getValue(key)
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#get().setValue(key, value)
  }

  deleteValue(key: symbol): Context {
    return this.#get().deleteValue(key)
  }

  #get(): Context {
    this.#context ??= trace.setSpanContext(ROOT_CONTEXT, this.#spanContext)
    return this.#context
  }
}
