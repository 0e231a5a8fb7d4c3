/** The k6 scripts against the real system, by a stand-in for k6: what they do, each once, and what they promise. */
import type { Options } from 'k6/options'
import t from 'tap'
import { PASSWORD, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { checks } from './k6/k6.ts'
import { requests } from './k6/k6-http.ts'
import { rates } from './k6/k6-metrics.ts'
import { standInForK6 } from './k6/k6-stand-in.ts'

interface Script extends Record<string, unknown> {
  readonly options: Options
}

const system = await startSystem(t)
const { user } = await signUp(system.url)
standInForK6({
  __ENV: { BASE_URL: `${system.url}/`, USERS: JSON.stringify([{ email: user.email, password: PASSWORD }]) },
  __VU: 1,
  __ITER: 0,
})

for (const name of ['smoke', 'load', 'stress', 'soak']) {
  t.test(name, async t => {
    const script: Script = await import(`../../deploy/k6/${name}.ts`)
    const { scenarios = {}, thresholds = {} } = script.options
    t.strictSame(Object.keys(scenarios).sort(), ['login', 'read', 'refresh', 'write'])
    t.ok(Object.keys(thresholds).includes('unexpected'), 'it fails when an answer is not what it should be')
    for (const metric of Object.keys(thresholds)) {
      t.ok(/^(checks|shed|unexpected|http_req_duration\{name:(login|read|refresh|write)\})$/.test(metric), metric)
    }

    requests.length = 0
    checks.length = 0
    for (const { exec = '' } of Object.values(scenarios)) {
      const run = script[exec]
      if (typeof run !== 'function') return t.fail(`there is no ${exec}`)
      run()
    }
    t.ok(
      requests.every(({ status }) => status === 200),
      JSON.stringify(requests),
    )
    const names = new Set(requests.map(({ name }) => name))
    for (const wanted of Object.keys(scenarios)) t.ok(names.has(wanted), `there was a request named ${wanted}`)
    t.ok(checks.length > 0 && checks.every(({ passed }) => passed), 'the checks passed')
    t.notOk(rates.get('unexpected')?.includes(true), 'no answer was unexpected')
  })
}

t.test('an answer that is not what it should be is counted', async t => {
  const { read } = await import('../../deploy/k6/scenarios.ts')
  const { accept } = await import('../../deploy/k6/answers.ts')
  checks.length = 0
  t.notOk(accept({ status: 500 } as never, 'read', 200))
  t.strictSame(checks, [{ name: 'read answers 200', passed: false }])
  t.equal(rates.get('unexpected')?.at(-1), true)
  t.notOk(accept({ status: 503 } as never, 'read', 200))
  t.equal(rates.get('unexpected')?.at(-1), false, 'what is shed is not')
  t.equal(rates.get('shed')?.at(-1), true)
  await system.gateway.stop()
  read()
  t.equal(requests.at(-1)?.status, 0)
  t.equal(rates.get('unexpected')?.at(-1), true, 'no answer at all is')
})
