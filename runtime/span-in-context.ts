/**
 * A context of OpenTelemetry's that holds a span's ids and nothing else. The API's own is a map with functions around it;
 * this one makes that when it is first asked, which few requests do.
 */
import { type Context, ROOT_CONTEXT, type SpanContext, trace } from '@opentelemetry/api'

export class SpanInContext implements Context {
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
