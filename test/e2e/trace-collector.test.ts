import t from 'tap'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { signUp, whoAmI } from '../support/rest-client.ts'
import { openTestPort } from '../support/test-port.ts'
import { startSystem } from '../support/test-system.ts'

const hanging = await startOtlpReceiver(t)
hanging.hang()

for (const [what, endpoint] of [
  ['hangs', hanging.url],
  ['is not there', `http://127.0.0.1:${await openTestPort()}`],
] as const) {
  t.test(`a collector that ${what} changes no answer, and no process's end`, async t => {
    const env = { TRACE_SAMPLE_RATIO: '1', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }
    const system = await startSystem(t, { env })
    const { accessToken } = await signUp(system.url)
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => whoAmI(system.url, accessToken)))
      t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
    }
    if (what === 'hangs') await hanging.span(({ name }) => name === 'GET /v1/users/me')
    const ends = await Promise.all([system.gateway, system.authSvc, system.userSvc].map(process => process.stop()))
    t.strictSame(ends, ['exit code 0', 'exit code 0', 'exit code 0'])
  })
}
