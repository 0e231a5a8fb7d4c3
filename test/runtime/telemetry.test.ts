import fc from 'fast-check'
import t from 'tap'
import { parseTraceparent, startRequestTrace, traceHeaders } from '#runtime/telemetry.ts'

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map(digits => digits.join(''))
    .filter(text => !/^0+$/.test(text))

t.test('what is sent on is read back as the same trace', async t => {
  fc.assert(
    fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
      const header = `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
      const parsed = parseTraceparent(header)
      t.match(parsed, { traceId, spanId, traceFlags: sampled ? 1 : 0 })
      t.equal(parsed && traceHeaders(parsed).traceparent, header)
    }),
  )
})

t.test('a traceparent that the recommendation calls invalid begins a fresh trace', async t => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const spanId = 'b7ad6b7169203331'
  const invalid = [
    '',
    'x',
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-01-`,
    `00-${traceId}-${spanId}-01-more`,
    `ff-${traceId}-${spanId}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId}-${spanId}-0x`,
    ` 00-${traceId}-${spanId}-01`,
    `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
  ]
  for (const traceparent of invalid) {
    t.equal(parseTraceparent(traceparent), undefined, traceparent)
    const { spanContext } = startRequestTrace('x', { traceparent, tracestate: undefined }, { trusted: true })
    t.match(spanContext.traceId, /^[0-9a-f]{32}$/)
    t.not(spanContext.traceId, traceId)
  }
  t.ok(parseTraceparent(`cc-${traceId}-${spanId}-01-more`), 'a later version is read by its first four fields')
})

t.test("a client's sampled flag counts only where the caller is trusted", async t => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const headers = { traceparent, tracestate: undefined }
  t.equal(startRequestTrace('x', headers, { trusted: false, ratio: 0 }).spanContext.traceFlags, 0)
  const unsampled = { traceparent: traceparent.replace(/01$/, '00'), tracestate: undefined }
  t.equal(startRequestTrace('x', unsampled, { trusted: true, ratio: 1 }).spanContext.traceFlags, 0)
})
