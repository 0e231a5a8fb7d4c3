/** Log line, metrics and span of each call that a gRPC server handles. */
import { type ServerUnaryCall, type ServerWritableStream, status } from '@grpc/grpc-js'
import { context, SpanKind } from '@opentelemetry/api'
import type { CallMetrics } from '../observability/call-metrics.ts'
import { serverAttributes } from '../observability/client-spans.ts'
import { type Logger, requestLine } from '../observability/logger.ts'
import { continueTrace, type RequestTrace } from '../observability/request-trace.ts'
import { recordSpan } from '../observability/spans.ts'
import { isSampled } from '../observability/trace-context.ts'
import { StatusError } from '../status.ts'
import { CLIENT_ADDRESS, firstValue } from './metadata.ts'

type ServerCall = ServerUnaryCall<object, object> | ServerWritableStream<object, object>

/** Runs the work of a call in the trace of its caller and records its result. */
export type Observe = <R>(grpc: ServerCall, work: () => Promise<R>) => Promise<R>

export interface CallTelemetryOptions {
  readonly logger: Logger
  /** Metrics by method and code. */
  readonly calls: CallMetrics
  /** Converts an error of a dependency to a StatusError; returns other errors unchanged. */
  readonly mapError: (error: unknown) => unknown
}

/**
 * @returns a function that creates the observer of a method. An observer rejects with the mapped error of the work.
 * Errors that are not a StatusError, or that have a cause, are logged with it.
 */
export function createCallTelemetry({ logger, calls, mapError }: CallTelemetryOptions): (method: string) => Observe {
  const logCall = requestLine(logger, 'call')

  return method => {
    const recorder = calls.labels(method)
    return async (grpc, work) => {
      const { metadata } = grpc
      const tracestate = metadata.get('tracestate').join() || undefined
      const requestTrace = continueTrace(firstValue(metadata, 'traceparent'), tracestate)
      return context.with(requestTrace.context, async () => {
        let code = status.OK
        try {
          return await work()
        } catch (thrown) {
          const error = mapError(thrown)
          code = error instanceof StatusError ? error.code : status.INTERNAL
          if (!(error instanceof StatusError) || error.cause !== undefined) {
            logger.error({ err: error, method }, 'call failed')
          }
          throw error
        } finally {
          const ms = performance.now() - requestTrace.startedAt
          const { spanContext } = requestTrace
          const isRecorded = isSampled(spanContext)
          logCall(
            `,"trace_id":"${spanContext.traceId}","span_id":"${spanContext.spanId}","method":"${method}",` +
              `"code":"${status[code]}","ms":${Math.round(ms * 100) / 100}`,
          )
          recorder.record(code, ms / 1000, isRecorded ? spanContext : undefined)
          if (isRecorded) recordServerSpan(method, grpc, requestTrace, code)
        }
      })
    }
  }
}

// Codes that mark the span of a server as failed (semantic conventions for gRPC, "Server span").
const SERVER_ERRORS: readonly status[] = [
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]

function recordServerSpan(
  method: string,
  grpc: ServerCall,
  { spanContext, parent, startedAt }: RequestTrace,
  code: status,
): void {
  recordSpan({
    name: method,
    kind: SpanKind.SERVER,
    spanContext,
    parent,
    startedAt,
    attributes: {
      'rpc.system.name': 'grpc',
      'rpc.method': method,
      'rpc.status_code': status[code],
      'client.address': firstValue(grpc.metadata, CLIENT_ADDRESS),
      ...serverAttributes(grpc.getHost()),
    },
    errorType: SERVER_ERRORS.includes(code) ? status[code] : undefined,
  })
}
