import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { acceptTrace } from '#runtime/observability/request-trace.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { Code, StatusError, unavailable } from '#runtime/status.ts'
import { buildRouteTable, type Route } from '../../../gateway/contract/route-table.ts'
import { createGatewayMetrics } from '../../../gateway/metrics.ts'
import { callMetadata, createUpstreamCall } from '../../../gateway/upstream/calls.ts'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import type { Transport } from '../../../gateway/upstream/transport.ts'
import { startOtlpReceiver } from '../../support/otlp-receiver.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'
import { unlimitedConnection } from '../../support/upstream-connection.ts'

const receiver = await startOtlpReceiver(t)
const telemetry = await startTelemetry({ service: 'test', endpoint: receiver.url, exportDelayMs: 10 })
t.teardown(() => telemetry.shutdown())

const metrics = createGatewayMetrics()
const { contract } = buildService('x.v1.S', {
  methods: [methodSource('M', '(Nothing) returns (Nothing)', 'get: "/m"')],
  messages: 'message Nothing {}',
})
const [route] = buildRouteTable([{ service: serviceOf(contract, 'x.v1.S'), upstream: 'x' }]) as [Route]

function requestOf(sampleRatio: number) {
  const trace = acceptTrace('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'a=1', sampleRatio)
  return { trace, clientAddress: '192.0.2.7', headers: {} } as FastifyRequest
}

/** Makes a call over a transport with the given `unary`. @returns the metadata that the transport received. */
async function call(request: FastifyRequest, unary: Transport['unary']) {
  let sent: Record<string, string> = {}
  const transport: Pick<Transport, 'unary' | 'address'> = {
    address: 'dns:///x.example:50051',
    unary(...args) {
      sent = args[2]
      return unary(...args)
    },
  }
  const connection = unlimitedConnection(transport as Transport, undefined as never)
  await createUpstreamCall(connection, route, metrics.rpc, error => error)(
    request,
    new Uint8Array(),
    deadlineIn(1000),
    undefined as never,
    false,
  ).catch(() => {})
  return sent
}

t.test('a sampled call records a client span and sends it as traceparent', async t => {
  const request = requestOf(1)
  const sent = await call(request, async () => new Uint8Array())
  const { traceId, spanId } = request.trace.spanContext
  const span = await receiver.span(({ parentSpanId }) => parentSpanId === spanId)
  t.match(span, {
    traceId,
    name: 'x.v1.S/M',
    kind: 'SPAN_KIND_CLIENT',
    isError: false,
    events: [],
    attributes: { 'rpc.status_code': 'OK', 'server.address': 'x.example', 'server.port': 50051 },
  })
  t.equal(sent['traceparent'], `00-${traceId}-${span.spanId}-01`)
  t.equal(sent['tracestate'], 'a=1')
})

t.test('an unsampled call sends the span of the request as traceparent and has no observer', async t => {
  const request = requestOf(0)
  const { traceId, spanId } = request.trace.spanContext
  const sent = await call(request, async (...[, , , , , observer]) => {
    t.equal(observer, undefined)
    return new Uint8Array()
  })
  t.equal(sent['traceparent'], `00-${traceId}-${spanId}-00`)
  t.equal(sent['tracestate'], 'a=1')
})

t.test('the span of a retried call has an event per failed attempt and the address of the last server', async t => {
  const request = requestOf(1)
  await call(request, async (...[, , , , , observer]) => {
    observer?.onAttempt(1, '10.0.0.1:50051')
    observer?.onAttemptEnd(unavailable('unreachable'))
    observer?.onAttempt(2, '10.0.0.2:50051')
    observer?.onAttemptEnd(undefined)
    return new Uint8Array()
  })
  const span = await receiver.span(({ parentSpanId }) => parentSpanId === request.trace.spanContext.spanId)
  t.match(span, { isError: false, attributes: { 'network.peer.address': '10.0.0.2', 'network.peer.port': 50051 } })
  t.strictSame(span.events, [
    {
      name: 'attempt failed',
      attributes: {
        attempt: 1,
        'rpc.status_code': 'UNAVAILABLE',
        'network.peer.address': '10.0.0.1',
        'network.peer.port': 50051,
      },
    },
  ])
})

t.test('the span of a failed call is an error with the status code, or UNKNOWN for other errors', async t => {
  for (const [error, code] of [
    [new StatusError(Code.NOT_FOUND, 'no'), 'NOT_FOUND'],
    [new Error('defect'), 'UNKNOWN'],
  ] as const) {
    const request = requestOf(1)
    await call(request, () => Promise.reject(error))
    const span = await receiver.span(({ parentSpanId }) => parentSpanId === request.trace.spanContext.spanId)
    t.match(span, { isError: true, attributes: { 'rpc.status_code': code, 'error.type': code } })
  }
})

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

function metadataOf(clientAddress: string | undefined) {
  const request = {
    clientAddress,
    headers: {},
    trace: acceptTrace(undefined, undefined, 0),
  } as unknown as FastifyRequest
  return callMetadata(request, TRACEPARENT)
}

t.test('the client address is left out if the socket is closed and has none', async t => {
  t.same(metadataOf('203.0.113.7'), {
    traceparent: TRACEPARENT,
    'gatehouse-client-address': '203.0.113.7',
    'gatehouse-client-user-agent': '',
  })
  t.notOk('gatehouse-client-address' in metadataOf(undefined))
})
