import { context, trace } from '@opentelemetry/api'
import { type Logger, pino } from 'pino'

export type { Logger }

/** One JSON line an event on standard output, each with the trace it belongs to. */
export function createLogger(options: { service: string; level: string }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service, pid: process.pid },
    formatters: { level: label => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    mixin: traceIds,
  })
}

function traceIds(): object {
  const span = trace.getSpanContext(context.active())
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }
}
