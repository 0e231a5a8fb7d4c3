import { SpanKind } from '@opentelemetry/api'
import t from 'tap'
import { acceptTrace } from '#runtime/observability/request-trace.ts'
import { childSpanContext, recordSpan } from '#runtime/observability/spans.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { startOtlpReceiver } from '../../support/otlp-receiver.ts'

t.test('spans are exported as JSON with the protocol http/json', async t => {
  const receiver = await startOtlpReceiver(t)
  const telemetry = await startTelemetry({
    service: 'test',
    endpoint: receiver.url,
    protocol: 'http/json',
    exportDelayMs: 10,
  })
  const { spanContext: parent, startedAt } = acceptTrace(undefined, undefined, 1)
  const spanContext = childSpanContext(parent)
  recordSpan({
    name: 'inner',
    kind: SpanKind.CLIENT,
    spanContext,
    parent,
    startedAt,
    attributes: { text: 'Grüße', number: 2, share: 0.5, flag: true },
    errorType: 'BROKEN',
    events: [{ name: 'event', at: startedAt, attributes: { number: 3 } }],
  })
  const span = await receiver.span(({ spanId }) => spanId === spanContext.spanId)
  t.match(span, {
    contentType: 'application/json',
    service: 'test',
    traceId: parent.traceId,
    parentSpanId: parent.spanId,
    name: 'inner',
    kind: 'SPAN_KIND_CLIENT',
    isError: true,
    events: [{ name: 'event', attributes: { number: 3 } }],
  })
  t.strictSame(span.attributes, { text: 'Grüße', number: 2, share: 0.5, flag: true, 'error.type': 'BROKEN' })
  await telemetry.shutdown()
  t.equal(telemetry.droppedSpans(), 0)
})
