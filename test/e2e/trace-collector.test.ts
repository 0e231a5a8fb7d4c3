import t from 'tap'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { getMe, signUp } from '../support/rest-client.ts'
import { openTestPort } from '../support/test-port.ts'
import { startSystem } from '../support/test-system.ts'

const hanging = await startOtlpReceiver(t)
hanging.hang()

for (const [state, endpoint] of [
  ['hangs', hanging.url],
  ['is unreachable', `http://127.0.0.1:${await openTestPort()}`],
] as const) {
  t.test(`a trace collector that ${state} changes no response and no exit code`, async t => {
    const env = { TRACE_SAMPLE_RATIO: '1', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }
    const system = await startSystem(t, { env })
    const { accessToken } = await signUp(system.url)
    for (let round = 0; round < 3; round++) {
      const responses = await Promise.all(Array.from({ length: 20 }, () => getMe(system.url, accessToken)))
      t.strictSame([...new Set(responses.map(({ status }) => status))], [200])
    }
    if (state === 'hangs') await hanging.span(({ name }) => name === 'GET /v1/users/me')
    const exits = await Promise.all([system.gateway, system.authSvc, system.userSvc].map(process => process.stop()))
    t.strictSame(exits, ['exit code 0', 'exit code 0', 'exit code 0'])
  })
}
