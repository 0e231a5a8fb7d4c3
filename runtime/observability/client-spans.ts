/** Spans of requests to other systems (kind CLIENT). */
import { type Attributes, type SpanContext, SpanKind } from '@opentelemetry/api'
import { childSpanContext, type EndedSpan, recordSpan } from './spans.ts'
import { isSampled } from './trace-context.ts'

/**
 * Records the span of a gRPC call that ends now.
 * @param call the span; `name` is the full method name and `code` the name of the gRPC code, such as `NOT_FOUND`.
 */
export function recordClientCall(call: Omit<EndedSpan, 'kind' | 'errorType'> & { readonly code: string }): void {
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

/**
 * Returns the attributes `server.address` and `server.port`.
 * @param target an authority or a gRPC target, such as `dns:///auth-svc:50051`.
 */
export function serverAttributes(target: string): Attributes {
  const [, host, port] = TARGET.exec(target) ?? []
  return { 'server.address': host, 'server.port': port === undefined ? undefined : Number(port) }
}

/** Name and attributes of a kind of request to another system. Created once and used for each request. */
export interface ClientOperation {
  readonly name: string
  readonly attributes: Attributes
}

/** Runs `work` in a span below `parent` if that is sampled; otherwise runs `work` only. */
export function withSpan<R>(
  parent: SpanContext | undefined,
  operation: ClientOperation,
  work: () => Promise<R>,
): Promise<R> {
  return isSampled(parent) ? recordWork(parent, operation, work) : work()
}

async function recordWork<R>(parent: SpanContext, operation: ClientOperation, work: () => Promise<R>): Promise<R> {
  const spanContext = childSpanContext(parent)
  const startedAt = performance.now()
  let errorType: string | undefined
  try {
    return await work()
  } catch (error) {
    errorType = error instanceof Error ? error.name : '_OTHER'
    throw error
  } finally {
    recordSpan({ ...operation, kind: SpanKind.CLIENT, spanContext, parent, startedAt, errorType })
  }
}
