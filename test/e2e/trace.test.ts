import { randomBytes } from 'node:crypto'
import t from 'tap'
import { getMe, PASSWORD, request, uniqueEmail } from '../support/rest-client.ts'
import { startSystem, type TestSystem } from '../support/test-system.ts'

const system = await startSystem(t)

function traceOf(headers: Headers): string | undefined {
  return headers.get('traceresponse')?.split('-')[1]
}

/** Resolves with one log entry of the trace per expected process. The test times out if a process logs none. */
async function entriesOf({ gateway, authSvc, userSvc }: TestSystem, trace: string, expected: readonly string[]) {
  const processes = [gateway, authSvc, userSvc].filter(({ name }) => expected.includes(name))
  return Promise.all(processes.map(({ entry }) => entry(({ trace_id }) => trace_id === trace)))
}

t.test('a sign-up has one trace id in the logs of all three services and in the response', async t => {
  const trace = randomBytes(16).toString('hex')
  const response = await request('POST', `${system.url}/v1/auth/signup`, {
    body: { email: uniqueEmail(), password: PASSWORD, tokenDelivery: 'body' },
    headers: { traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01` },
  })
  t.equal(response.status, 201)
  t.equal(traceOf(response.headers), trace, 'the response continues the trace of the client')
  const [atGateway, atAuth, atUser] = await entriesOf(system, trace, ['gateway', 'auth-svc', 'user-svc'])
  t.match(atGateway, { service: 'gateway', method: 'POST', route: '/v1/auth/signup', status: 201 })
  t.match(atAuth, { service: 'auth-svc', trace_id: trace })
  t.match(atUser, { service: 'user-svc', method: 'user.v1.AccountService/CreateAccount', code: 'OK' })
  const spans = new Set([atGateway?.['span_id'], atAuth?.['span_id'], atUser?.['span_id']])
  t.equal(spans.size, 3, 'each service has its own span')
})

t.test('a request without traceparent gets a trace id, which the problem document contains', async t => {
  const response = await getMe(system.url, 'no-token')
  const trace = traceOf(response.headers) ?? ''
  t.match(trace, /^[0-9a-f]{32}$/)
  t.match(response, { status: 401, body: { trace_id: trace } })
  t.match(await entriesOf(system, trace, ['gateway']), [{ status: 401 }])
})
