import Fastify from 'fastify'
import t from 'tap'
import { type HealthCheck, isHealthy, registerHealth } from '../../../gateway/http/health.ts'

const passing: HealthCheck = { name: 'keys', problem: () => undefined }
const failing: HealthCheck = { name: 'upstream', problem: async () => 'not serving' }

async function get(path: string, checks: HealthCheck[], isReady = true) {
  const app = Fastify()
  registerHealth(app, checks, () => isReady)
  const response = await app.inject(path)
  return { status: response.statusCode, body: response.json() }
}

t.test('/healthz returns 200 whatever the checks return', async t => {
  t.same(await get('/healthz', [failing], false), { status: 200, body: { status: 'ok' } })
})

t.test('/readyz returns 200 if all checks pass, otherwise 503 with the failed ones', async t => {
  t.same(await get('/readyz', [passing]), { status: 200, body: { status: 'ready', ready: ['keys'], notReady: [] } })
  t.same(await get('/readyz', [passing, failing]), {
    status: 503,
    body: { status: 'not ready', ready: ['keys'], notReady: [{ name: 'upstream', problem: 'not serving' }] },
  })
})

t.test('/readyz returns 503 while the process drains', async t => {
  t.match(await get('/readyz', [passing], false), { status: 503, body: { notReady: [{ name: 'process' }] } })
})

t.test('isHealthy is true only if all checks pass', async t => {
  t.equal(await isHealthy([passing]), true)
  t.equal(await isHealthy([passing, failing]), false)
})
