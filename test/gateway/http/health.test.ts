import Fastify from 'fastify'
import t from 'tap'
import { createHealth, type HealthCheck, registerHealth } from '../../../gateway/http/health.ts'

const passing: HealthCheck = { name: 'keys', isRequired: true, problem: () => undefined }
const failing: HealthCheck = { name: 'revocations', isRequired: true, problem: async () => 'stale' }
const deadUpstream: HealthCheck = { name: 'upstream', isRequired: false, problem: async () => 'not serving' }

async function get(path: string, checks: HealthCheck[], isServing = true) {
  const app = Fastify()
  registerHealth(
    app,
    createHealth(checks, () => isServing),
  )
  const response = await app.inject(path)
  return { status: response.statusCode, body: response.json() }
}

t.test('/healthz returns 200 whatever the checks return', async t => {
  t.same(await get('/healthz', [failing], false), { status: 200, body: { status: 'ok' } })
})

t.test('/readyz returns 200 if all required checks pass, otherwise 503, without details', async t => {
  t.same(await get('/readyz', [passing]), { status: 200, body: { status: 'ready' } })
  t.same(await get('/readyz', [passing, deadUpstream]), { status: 200, body: { status: 'ready' } })
  t.same(await get('/readyz', [passing, failing]), { status: 503, body: { status: 'not ready' } })
})

t.test('/readyz returns 503 while the process drains', async t => {
  t.same(await get('/readyz', [passing], false), { status: 503, body: { status: 'not ready' } })
})

t.test('the details contain the result of every check', async t => {
  t.same(await createHealth([passing, deadUpstream], () => true).details(), {
    status: 'ready',
    checks: [
      { name: 'keys', required: true, passed: true },
      { name: 'upstream', required: false, passed: false, problem: 'not serving' },
      { name: 'process', required: true, passed: true },
    ],
  })
  t.match(await createHealth([failing], () => false).details(), {
    status: 'not ready',
    checks: [{ problem: 'stale' }, { name: 'process', passed: false, problem: 'draining' }],
  })
})

/** A check that counts its runs. */
function countedCheck(isRequired: boolean) {
  const state = { runs: 0, problem: undefined as string | undefined }
  const check: HealthCheck = {
    name: 'counted',
    isRequired,
    async problem() {
      state.runs++
      return state.problem
    },
  }
  return { check, state }
}

t.test('any number of probes runs a check once a second', async t => {
  const [required, other] = [countedCheck(true), countedCheck(false)]
  let now = 0
  const health = createHealth(
    [required.check, other.check],
    () => true,
    () => now,
  )
  for (now = 0; now < 10_000; now += 10) await Promise.all([health.isReady(), health.isReady()])
  t.equal(required.state.runs, 10)
  t.equal(other.state.runs, 0, 'readiness does not depend on the other checks, so they do not run')
  other.state.problem = 'not serving'
  for (now = 10_000; now < 20_000; now += 10) await Promise.all([health.details(), health.details()])
  t.equal(other.state.runs, 10)
})

t.test('probes during a check wait for its result and start no other', async t => {
  let finish = (_problem: undefined) => {}
  let runs = 0
  let now = 0
  const slow: HealthCheck = {
    name: 'slow',
    isRequired: true,
    problem: () =>
      new Promise(resolve => {
        runs++
        finish = resolve
      }),
  }
  const health = createHealth(
    [slow],
    () => true,
    () => now,
  )
  const probes = [health.isReady(), health.isReady()]
  now = 5000
  probes.push(health.isReady())
  finish(undefined)
  t.same(await Promise.all(probes), [true, true, true])
  t.equal(runs, 1)
})

t.test('a process is ready at most 100 ms after its required checks pass', async t => {
  const { check, state } = countedCheck(true)
  state.problem = 'no keys'
  let now = 0
  const health = createHealth(
    [check],
    () => true,
    () => now,
  )
  t.notOk(await health.isReady())
  state.problem = undefined
  now = 100
  t.ok(await health.isReady())
})

t.test('a check that throws has failed, and is repeated', async t => {
  let now = 0
  let isBroken = true
  const check: HealthCheck = {
    name: 'broken',
    isRequired: true,
    async problem() {
      if (isBroken) throw new Error('no route to host')
      return undefined
    },
  }
  const health = createHealth(
    [check],
    () => true,
    () => now,
  )
  t.notOk(await health.isReady())
  t.match((await health.details()).checks, [{ passed: false, problem: /no route to host/ }, {}])
  isBroken = false
  now = 100
  t.ok(await health.isReady())
})

t.test('draining takes effect at once', async t => {
  let isServing = true
  const health = createHealth([passing], () => isServing)
  t.ok(await health.isReady())
  isServing = false
  t.notOk(await health.isReady())
})
