/**
 * Runs each scenario of the k6 scripts once against the real system, with a substitute for the modules of k6, and
 * checks their thresholds.
 */
import path from 'node:path'
import type { ConstantArrivalRateScenario, Options } from 'k6/options'
import t from 'tap'
import { readGatewayFile } from '../../gateway/gateway-file.ts'
import { PASSWORD, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { checks } from './k6/k6.ts'
import { requests } from './k6/k6-http.ts'
import { rates } from './k6/k6-metrics.ts'
import { installK6Substitute } from './k6/k6-substitute.ts'

interface Script extends Record<string, unknown> {
  readonly options: Options
}

const system = await startSystem(t)
const { user } = await signUp(system.url)
installK6Substitute({
  __ENV: { BASE_URL: `${system.url}/`, USERS: JSON.stringify([{ email: user.email, password: PASSWORD }]) },
  __VU: 1,
  __ITER: 0,
})

for (const name of ['smoke', 'load', 'stress', 'soak']) {
  t.test(`the requests of ${name}.ts succeed, and its thresholds name metrics that exist`, async t => {
    const script: Script = await import(`../../deploy/k6/${name}.ts`)
    const { scenarios = {}, thresholds = {} } = script.options
    t.strictSame(Object.keys(scenarios).sort(), ['login', 'read', 'refresh', 'write'])
    t.ok(Object.keys(thresholds).includes('unexpected'), 'the run fails on unexpected responses')
    for (const metric of Object.keys(thresholds)) {
      t.ok(/^(checks|shed|unexpected|http_req_duration\{name:(login|read|refresh|write)\})$/.test(metric), metric)
    }

    requests.length = 0
    checks.length = 0
    for (const { exec = '' } of Object.values(scenarios)) {
      const run = script[exec]
      if (typeof run !== 'function') return t.fail(`${name}.ts does not export ${exec}`)
      run()
    }
    t.ok(
      requests.every(({ status }) => status === 200),
      JSON.stringify(requests),
    )
    const names = new Set(requests.map(({ name }) => name))
    for (const wanted of Object.keys(scenarios)) t.ok(names.has(wanted), `a request is tagged ${wanted}`)
    t.ok(checks.length > 0 && checks.every(({ passed }) => passed), 'all checks pass')
    t.notOk(rates.get('unexpected')?.includes(true), 'no response is unexpected')
  })
}

for (const name of ['load', 'soak']) {
  t.test(`${name}.ts stays within the limits of one client address, however often it is run`, async t => {
    const { options }: Script = await import(`../../deploy/k6/${name}.ts`)
    const { classes } = readGatewayFile(path.resolve(import.meta.dirname, '../../gateway/gateway.yaml'), {}).limits
    const scenarios = options.scenarios as Record<string, ConstantArrivalRateScenario>
    for (const [scenario, className] of [
      ['login', 'auth'],
      ['refresh', 'session'],
    ] as const) {
      const bucket = classes[className]
      if (bucket === undefined || bucket === 'unlimited') return t.fail(`${className} has no limit`)
      const { rate = Number.NaN, timeUnit } = scenarios[scenario] ?? {}
      t.equal(timeUnit, '1m')
      const refillPerMinute = (bucket.refillPerUs / bucket.unitsPerToken) * 60e6
      t.ok(rate <= refillPerMinute, `${rate} of ${scenario} a minute, ${refillPerMinute} tokens`)
      // Each virtual user signs in before its first request.
      const users = Object.values(scenarios).reduce((sum, { maxVUs = 0 }) => sum + maxVUs, 0)
      t.ok(users <= bucket.capacityTokens, `${users} virtual users, capacity ${bucket.capacityTokens}`)
    }
  })
}

t.test('checkResponse counts shed and unexpected responses', async t => {
  const { read } = await import('../../deploy/k6/scenarios.ts')
  const { checkResponse } = await import('../../deploy/k6/response-check.ts')
  checks.length = 0
  t.notOk(checkResponse({ status: 500 } as never, 'read', 200))
  t.strictSame(checks, [{ name: 'read returns 200', passed: false }])
  t.equal(rates.get('unexpected')?.at(-1), true)
  t.notOk(checkResponse({ status: 503 } as never, 'read', 200))
  t.equal(rates.get('unexpected')?.at(-1), false, 'a shed response is not unexpected')
  t.equal(rates.get('shed')?.at(-1), true)
  await system.gateway.stop()
  read()
  t.equal(requests.at(-1)?.status, 0)
  t.equal(rates.get('unexpected')?.at(-1), true, 'a failed connection is unexpected')
})
