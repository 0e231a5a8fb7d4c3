import { connect } from 'node:net'
import t from 'tap'
import { request, signUp, whoAmI } from '../support/rest-client.ts'
import { metricsUrl, PLAIN_TEXT, samplesOf, scrape } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t, { env: { TRACE_SAMPLE_RATIO: '1' } })
const { accessToken } = await signUp(system.url)

/** The requests counted by "method route status", once there are as many. */
async function counted(expected: number): Promise<Record<string, number>> {
  let counts: Record<string, number> = {}
  await until(
    async () => {
      const samples = samplesOf(await scrape(system.gateway), 'http_requests_total')
      counts = Object.fromEntries(
        samples.map(({ labels, value }) => [`${labels['method']} ${labels['route']} ${labels['status_code']}`, value]),
      )
      // What asks whether the gateway is ready asks as often as it likes.
      for (const name of Object.keys(counts)) if (name.includes('/readyz')) delete counts[name]
      return Object.values(counts).reduce((sum, count) => sum + count, 0)
    },
    sum => sum >= expected,
  )
  return counts
}

t.test('requests are counted by method, route as the contract has it, and status', async t => {
  const nobody = '00000000-0000-4000-8000-000000000000'
  await whoAmI(system.url, accessToken)
  await whoAmI(system.url, accessToken)
  await whoAmI(system.url, 'no token')
  await request('GET', `${system.url}/v1/users/${nobody}`, { token: accessToken })
  await request('HEAD', `${system.url}/healthz`)
  await request('GET', `${system.url}/nothing/here`)
  await request('GET', `${system.url}/v1/%ZZ`)
  await request('PROPFIND', `${system.url}/v1/users/me`)
  await new Promise(resolve =>
    connect(Number(new URL(system.url).port), '127.0.0.1')
      .end('no HTTP\r\n\r\n')
      .on('close', resolve)
      .resume(),
  )
  t.same(await counted(10), {
    'POST /v1/auth/signup 201': 1,
    'GET /v1/users/me 200': 2,
    'GET /v1/users/me 401': 1,
    'GET /v1/users/{id} 404': 1,
    'HEAD /healthz 200': 1,
    'GET unmatched 404': 1,
    'GET unmatched 400': 1,
    '_OTHER unmatched 405': 1,
    '_OTHER unmatched 400': 1,
  })
})

t.test('the histogram has the same labels, the buckets of the design and the same counts', async t => {
  const scraped = await scrape(system.gateway)
  const labels = { method: 'GET', route: '/v1/users/me', status_code: '200' }
  const buckets = samplesOf(scraped, 'http_request_duration_seconds_bucket', labels)
  const bounds = ['0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '+Inf']
  t.same(
    buckets.map(({ labels }) => labels['le']),
    bounds,
  )
  t.equal(buckets.at(-1)?.value, 2)
  t.match(samplesOf(scraped, 'http_request_duration_seconds_count', labels), [{ value: 2 }])
  const [sum] = samplesOf(scraped, 'http_request_duration_seconds_sum', labels)
  t.ok(sum !== undefined && sum.value > 0 && sum.value < 10)
})

t.test('a sampled request is the exemplar of its bucket, by the trace that the client was told', async t => {
  const { headers } = await whoAmI(system.url, accessToken)
  const [, trace, span] = headers.get('traceresponse')?.split('-') ?? []
  const labels = { method: 'GET', route: '/v1/users/me', status_code: '200' }
  await until(
    async () =>
      samplesOf(await scrape(system.gateway), 'http_request_duration_seconds_bucket', labels).map(
        ({ exemplar }) => exemplar?.labels,
      ),
    all => all.some(found => found?.['trace_id'] === trace && found?.['span_id'] === span),
  )
  const [count] = samplesOf(await scrape(system.gateway), 'http_requests_total', labels)
  t.equal(count?.exemplar?.labels['trace_id'], trace)
})

t.test('calls are counted on both sides', async t => {
  const client = samplesOf(await scrape(system.gateway), 'rpc_client_requests_total')
  t.match(client.find(({ labels }) => labels['method'] === 'user.v1.UserService/GetUser')?.labels, {
    upstream: 'user',
    code: 'NOT_FOUND',
  })
  const served = await scrape(system.userSvc)
  t.match(samplesOf(served, 'rpc_server_requests_total', { method: 'user.v1.UserService/GetUser' }), [
    { labels: { code: 'NOT_FOUND' }, value: 1 },
  ])
  const took = samplesOf(served, 'rpc_server_request_duration_seconds_count', {
    method: 'user.v1.AccountService/CreateAccount',
  })
  t.match(took, [{ labels: { code: 'OK' } }])
})

t.test('whatever clients make up, there are no more series', async t => {
  const seriesOf = async () =>
    (await scrape(system.gateway)).samples.filter(({ name }) => name.startsWith('http_')).length
  await request('GET', `${system.url}/a-first-unknown-path`)
  await request('MKCOL', `${system.url}/a-first-unknown-path`)
  const before = await seriesOf()
  const methods = ['GET', 'MKCOL', 'PROPFIND', 'REPORT', 'SUBSCRIBE']
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}/${Math.random()}`)
  await Promise.all(paths.map((path, index) => request(methods[index % 5] ?? '', system.url + path)))
  await until(
    async () =>
      samplesOf(await scrape(system.gateway), 'http_requests_total', { route: 'unmatched', method: '_OTHER' }),
    samples => samples.some(({ value }) => value >= 80),
  )
  t.equal(await seriesOf(), before)
})

t.test('the metrics stand on a port of their own, and nothing else does', async t => {
  for (const path of ['/metrics', '/v1/metrics']) t.equal((await fetch(system.url + path)).status, 404)
  const url = metricsUrl(system.gateway)
  t.not(new URL(url).port, new URL(system.url).port)
  const statusOf = async (path: string, method = 'GET') => (await fetch(new URL(path, url), { method })).status
  t.equal(await statusOf('/v1/users/me'), 404)
  t.equal(await statusOf('/metrics', 'POST'), 405)
  t.equal(await statusOf('/metrics?name[]=up', 'HEAD'), 200)
})

t.test('what is told is OpenMetrics or plain text, as it is asked for', async t => {
  const open = await scrape(system.gateway)
  t.equal(open.contentType, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  t.ok(open.text.endsWith('# EOF\n'))
  const plain = await scrape(system.gateway, PLAIN_TEXT)
  t.equal(plain.contentType, 'text/plain; version=0.0.4; charset=utf-8')
  t.notOk(plain.samples.some(({ exemplar }) => exemplar !== undefined))
  // How late the event loop is has a mean only where it was measured since the last time that somebody asked.
  const names = (samples: typeof plain.samples) =>
    [...new Set(samples.map(({ name }) => name))].filter(name => !name.startsWith('nodejs_eventloop_lag_')).sort()
  t.same(names(plain.samples), names((await scrape(system.gateway)).samples), 'by the same names')
})

t.test('each process tells of its runtime, and the services of their connections', async t => {
  for (const process of [system.gateway, system.authSvc, system.userSvc]) {
    const { samples } = await scrape(process)
    const read = (name: string) => samples.find(sample => sample.name === name)?.value ?? 0
    for (const name of ['process_cpu_seconds_total', 'nodejs_heap_size_used_bytes', 'nodejs_eventloop_lag_p99_seconds'])
      t.ok(read(name) > 0, `${process.name} ${name}`)
  }
  for (const process of [system.authSvc, system.userSvc]) {
    t.ok((samplesOf(await scrape(process), 'db_pool_connections')[0]?.value ?? 0) > 0, process.name)
  }
  t.match(samplesOf(await scrape(system.gateway), 'http_requests_in_flight'), [{ value: 0 }])
})
