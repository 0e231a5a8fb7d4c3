import t from 'tap'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { getMe, request, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

t.test('the gateway exports the span of an unsampled request only if the response is 5xx', async t => {
  const receiver = await startOtlpReceiver(t)
  const env = { TRACE_SAMPLE_RATIO: '0', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
  const system = await startSystem(t, { env })
  const { accessToken } = await signUp(system.url)
  t.equal((await getMe(system.url, accessToken)).status, 200)
  t.equal((await request('GET', `${system.url}/v1/nowhere`)).status, 404)
  await system.userSvc.kill()
  const response = await getMe(system.url, accessToken)
  t.equal(response.status, 503)

  const [, traceId, spanId, flags] = response.headers.get('traceresponse')?.split('-') ?? []
  t.equal(flags, '02', 'the request is not sampled, and its trace id is random')
  const span = await receiver.span(({ name }) => name === 'GET /v1/users/me')
  t.match(span, {
    traceId,
    spanId,
    isError: true,
    attributes: { 'http.response.status_code': 503, 'error.type': '503' },
    events: [{ name: 'upstream failed', attributes: { 'rpc.status_code': 'UNAVAILABLE' } }],
  })
  await system.gateway.stop()
  const others = receiver.spans.filter(({ attributes }) => Number(attributes['http.response.status_code']) < 500)
  t.strictSame(others, [])
})
