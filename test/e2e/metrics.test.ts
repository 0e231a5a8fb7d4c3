import { connect } from 'node:net'
import t from 'tap'
import { getMe, request, signUp } from '../support/rest-client.ts'
import { metricsUrl, PLAIN_TEXT, samplesOf, scrape } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t, { env: { TRACE_SAMPLE_RATIO: '1' } })
const { accessToken } = await signUp(system.url)

/** Waits until at least `expected` requests are counted. Returns the counts by "method route status". */
async function requestCounts(expected: number): Promise<Record<string, number>> {
  let counts: Record<string, number> = {}
  await until(
    async () => {
      const samples = samplesOf(await scrape(system.gateway), 'http_requests_total')
      counts = Object.fromEntries(
        samples.map(({ labels, value }) => [`${labels['method']} ${labels['route']} ${labels['status_code']}`, value]),
      )
      // The number of readiness probes varies.
      for (const name of Object.keys(counts)) if (name.includes('/readyz')) delete counts[name]
      return Object.values(counts).reduce((sum, count) => sum + count, 0)
    },
    sum => sum >= expected,
  )
  return counts
}

t.test('http_requests_total counts requests by method, path template of the contract, and status code', async t => {
  const unknownUser = '00000000-0000-4000-8000-000000000000'
  await getMe(system.url, accessToken)
  await getMe(system.url, accessToken)
  await getMe(system.url, 'not a token')
  await request('GET', `${system.url}/v1/users/${unknownUser}`, { token: accessToken })
  await request('HEAD', `${system.url}/healthz`)
  await request('GET', `${system.url}/nothing/here`)
  await request('GET', `${system.url}/v1/%ZZ`)
  await request('PROPFIND', `${system.url}/v1/users/me`)
  await new Promise(resolve =>
    connect(Number(new URL(system.url).port), '127.0.0.1')
      .end('not HTTP\r\n\r\n')
      .on('close', resolve)
      .resume(),
  )
  t.same(await requestCounts(10), {
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

t.test('http_request_duration_seconds has the labels and counts of http_requests_total, and fixed buckets', async t => {
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

t.test('a sampled request becomes an exemplar with the trace id and span id of its traceresponse header', async t => {
  const { headers } = await getMe(system.url, accessToken)
  const [, traceId, spanId] = headers.get('traceresponse')?.split('-') ?? []
  const labels = { method: 'GET', route: '/v1/users/me', status_code: '200' }
  await until(
    async () =>
      samplesOf(await scrape(system.gateway), 'http_request_duration_seconds_bucket', labels).map(
        ({ exemplar }) => exemplar?.labels,
      ),
    exemplars => exemplars.some(labels => labels?.['trace_id'] === traceId && labels?.['span_id'] === spanId),
  )
  const [count] = samplesOf(await scrape(system.gateway), 'http_requests_total', labels)
  t.equal(count?.exemplar?.labels['trace_id'], traceId)
})

t.test('the gateway counts calls to upstreams and the service counts calls received, by gRPC code', async t => {
  const sent = samplesOf(await scrape(system.gateway), 'rpc_client_requests_total')
  t.match(sent.find(({ labels }) => labels['method'] === 'user.v1.UserService/GetUser')?.labels, {
    upstream: 'user',
    code: 'NOT_FOUND',
  })
  const received = await scrape(system.userSvc)
  t.match(samplesOf(received, 'rpc_server_requests_total', { method: 'user.v1.UserService/GetUser' }), [
    { labels: { code: 'NOT_FOUND' }, value: 1 },
  ])
  const durations = samplesOf(received, 'rpc_server_request_duration_seconds_count', {
    method: 'user.v1.AccountService/CreateAccount',
  })
  t.match(durations, [{ labels: { code: 'OK' } }])
})

t.test('unknown methods and paths create no time series', async t => {
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

t.test('the metrics port serves /metrics and nothing else; the API port does not serve /metrics', async t => {
  for (const path of ['/metrics', '/v1/metrics']) t.equal((await fetch(system.url + path)).status, 404)
  const url = metricsUrl(system.gateway)
  t.not(new URL(url).port, new URL(system.url).port)
  const statusOf = async (path: string, method = 'GET') => (await fetch(new URL(path, url), { method })).status
  t.equal(await statusOf('/v1/users/me'), 404)
  t.equal(await statusOf('/metrics', 'POST'), 405)
  t.equal(await statusOf('/metrics?name[]=up', 'HEAD'), 200)
})

t.test('the Accept header selects OpenMetrics or the Prometheus text format', async t => {
  const open = await scrape(system.gateway)
  t.equal(open.contentType, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  t.ok(open.text.endsWith('# EOF\n'))
  const plain = await scrape(system.gateway, PLAIN_TEXT)
  t.equal(plain.contentType, 'text/plain; version=0.0.4; charset=utf-8')
  t.notOk(plain.samples.some(({ exemplar }) => exemplar !== undefined))
  // Lag metrics are left out: they have no value if the event loop delay was not sampled since the previous scrape.
  const names = (samples: typeof plain.samples) =>
    [...new Set(samples.map(({ name }) => name))].filter(name => !name.startsWith('nodejs_eventloop_lag_')).sort()
  t.same(names(plain.samples), names((await scrape(system.gateway)).samples), 'both formats have the same metric names')
})

t.test('each process exports runtime metrics, and each service the size of its connection pool', async t => {
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
