import t from 'tap'
import { getMe, request, signUp } from '../support/rest-client.ts'
import { metricsUrl, samplesOf, scrape } from '../support/scrape.ts'
import type { TestProcess } from '../support/test-process.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

interface Details {
  status: string
  checks: { name: string; required: boolean; passed: boolean; problem?: string }[]
}

/** `/readyz` of the metrics port. */
async function readDetails(gateway: TestProcess): Promise<{ status: number; body: Details }> {
  const { status, body } = await request('GET', new URL('/readyz', metricsUrl(gateway)).href)
  return { status, body: body as Details }
}

const failedChecks = async (gateway: TestProcess) =>
  (await readDetails(gateway)).body.checks.filter(({ passed }) => !passed).map(({ name }) => name)

t.test('a dead upstream leaves the gateway ready and appears in the details and in the metrics', async t => {
  const system = await startSystem(t)
  const { gateway, url } = system
  const ada = await signUp(url)
  await until(
    () => failedChecks(gateway),
    names => names.length === 0,
  )
  t.match(await readDetails(gateway), { status: 200, body: { status: 'ready' } })

  await system.userSvc.kill()
  await until(
    () => failedChecks(gateway),
    names => names.includes('upstream user'),
  )
  t.same(await failedChecks(gateway), ['upstream user'])
  t.match(await request('GET', `${url}/readyz`), { status: 200, body: { status: 'ready' } })
  t.same(Object.keys((await request('GET', `${url}/readyz`)).body as object), ['status'], 'no details for clients')
  t.match(await readDetails(gateway), { status: 200, body: { status: 'ready' } })
  const passed = async (check: string) =>
    samplesOf(await scrape(gateway), 'health_check_passed', { check }).map(({ value }) => value)
  t.same(await passed('upstream user'), [0])
  t.same(await passed('upstream auth'), [1])
  t.equal((await getMe(url, ada.accessToken)).status, 503, 'its own routes fail')

  await system.authSvc.kill()
  await until(
    () => failedChecks(gateway),
    names => names.includes('upstream auth'),
  )
  t.equal((await request('GET', `${url}/readyz`)).status, 200, 'keys and revocations are in memory')
  t.equal((await request('GET', new URL('/healthz', metricsUrl(gateway)).href)).status, 200)
})

t.test('the primary of several workers shows the health of each', async t => {
  const system = await startSystem(t, { env: { GATEWAY_WORKERS: '2' } })
  await system.gateway.entry(({ msg }) => msg === 'all workers listening')
  const { status, body } = await request('GET', new URL('/readyz', metricsUrl(system.gateway)).href)
  t.equal(status, 200)
  t.match(body, { status: 'ready', workers: [{ health: { status: 'ready' } }, { health: { status: 'ready' } }] })
})
