import { randomBytes } from 'node:crypto'
import t from 'tap'
import { PASSWORD, request, someEmail, whoAmI } from '../support/rest-client.ts'
import { startSystem, type TestSystem } from '../support/test-system.ts'

const system = await startSystem(t)

function traceOf(headers: Headers): string | undefined {
  return headers.get('traceresponse')?.split('-')[1]
}

/** The log lines of a trace by process. Rejects, by the test's own timeout, when one has none. */
async function linesOf({ gateway, authSvc, userSvc }: TestSystem, trace: string, expected: readonly string[]) {
  const processes = [gateway, authSvc, userSvc].filter(({ name }) => expected.includes(name))
  return Promise.all(processes.map(({ entry }) => entry(({ trace_id }) => trace_id === trace)))
}

t.test('a sign-up is one trace in the log of all three processes and in the answer', async t => {
  const trace = randomBytes(16).toString('hex')
  const answer = await request('POST', `${system.url}/v1/auth/signup`, {
    body: { email: someEmail(), password: PASSWORD, tokenDelivery: 'body' },
    headers: { traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01` },
  })
  t.equal(answer.status, 201)
  t.equal(traceOf(answer.headers), trace, 'the answer goes on with the trace of the client')
  const [atGateway, atAuth, atUser] = await linesOf(system, trace, ['gateway', 'auth-svc', 'user-svc'])
  t.match(atGateway, { service: 'gateway', method: 'POST', route: '/v1/auth/signup', status: 201 })
  t.match(atAuth, { service: 'auth-svc', trace_id: trace })
  t.match(atUser, { service: 'user-svc', method: 'user.v1.AccountService/CreateAccount', code: 'OK' })
  const spans = new Set([atGateway?.['span_id'], atAuth?.['span_id'], atUser?.['span_id']])
  t.equal(spans.size, 3, 'each process has its own span in it')
})

t.test('a request without a trace gets one, which an error names too', async t => {
  const answer = await whoAmI(system.url, 'no-token')
  const trace = traceOf(answer.headers) ?? ''
  t.match(trace, /^[0-9a-f]{32}$/)
  t.match(answer, { status: 401, body: { trace_id: trace } })
  t.match(await linesOf(system, trace, ['gateway']), [{ status: 401 }])
})
