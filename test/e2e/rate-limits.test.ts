import t from 'tap'
import { getMe, login, refresh, request, signUp } from '../support/rest-client.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import { startTestRedis } from '../support/test-redis.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

t.test('all gateways share the limit of failed logins, and signed-in users are not affected', async t => {
  const redis = await startTestRedis(t)
  const system = await startSystem(t, { limits: 'as shipped', redisUrl: redis.url })
  const other = await system.startGateway()
  const ada = await signUp(system.url)
  t.equal((await login(system.url, ada.user.email)).status, 200)

  const responses = []
  for (const gateway of [system.url, other.url, system.url, other.url, system.url]) {
    responses.push(await login(gateway, ada.user.email, 'wrong but long enough'))
  }
  t.strictSame(
    responses.map(({ status }) => status),
    [401, 401, 401, 401, 429],
    'the sign-up is charged one token, the successful login none',
  )
  const rejected = responses.at(-1)
  t.match(rejected?.body, { code: 'rate_limited', status: 429 })
  t.equal(rejected?.headers.get('ratelimit-policy'), '"auth";q=5;w=900')
  t.match(rejected?.headers.get('ratelimit'), /^"auth";r=0;t=1[78]\d$/)
  t.match(rejected?.headers.get('retry-after'), /^1[78]\d$/, 'one token is refilled every three minutes')

  t.equal((await getMe(other.url, ada.accessToken)).status, 200)
  t.equal((await refresh(system.url, ada.refreshToken)).status, 200)
  t.equal((await request('GET', `${system.url}/.well-known/jwks.json`)).status, 200)

  const read = async (name: string, labels: Record<string, string> = {}) =>
    samplesOf(await scrape(system.gateway), name, labels)[0]?.value
  const decisions = (outcome: string) => read('rate_limit_decisions_total', { class: 'auth', outcome })
  t.equal(await decisions('refused'), 1, 'the metrics count rejected requests')
  t.equal(await decisions('admitted'), 4, 'and admitted ones: the sign-up, the successful login, two failed logins')
  const fallback = () => read('rate_limit_fallback')
  t.equal(await fallback(), 0)
  await redis.kill()
  await until(fallback, value => value === 1)
  await redis.restart()
  await until(fallback, value => value === 0)
})
