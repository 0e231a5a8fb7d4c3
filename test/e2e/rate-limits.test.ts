import t from 'tap'
import { getMe, login, refresh, request, signUp } from '../support/rest-client.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import { startTestRedis } from '../support/test-redis.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

t.test('all gateways share the limit of failed sign-ins, and other requests are not affected', async t => {
  const redis = await startTestRedis(t)
  const system = await startSystem(t, { limits: 'as shipped', redisUrl: redis.url })
  const other = await system.startGateway()
  const ada = await signUp(system.url)
  const signIns = await Promise.all(Array.from({ length: 8 }, () => login(system.url, ada.user.email)))
  t.strictSame(
    signIns.map(({ status }) => status),
    Array(8).fill(200),
    'eight correct sign-ins at once succeed',
  )

  const guesses = await Promise.all(
    Array.from({ length: 16 }, (_, n) =>
      login(n % 2 ? system.url : other.url, ada.user.email, 'wrong but long enough'),
    ),
  )
  const failed = guesses.filter(({ status }) => status === 401)
  t.equal(failed.length, 5, 'parallel guesses get the budget')
  t.equal(guesses.filter(({ status }) => status === 429).length, 11)
  for (const { headers } of failed) {
    t.equal(headers.get('ratelimit-policy'), '"sign-in";q=5;w=900, "auth";q=300;w=900')
    t.match(headers.get('ratelimit'), /^"sign-in";r=[0-4];t=\d+, "auth";r=\d+;t=\d+$/)
  }
  const rejected = await login(other.url, ada.user.email)
  t.match(rejected, { status: 429, body: { code: 'rate_limited', status: 429 } })
  t.equal(rejected.headers.get('ratelimit-policy'), '"sign-in";q=5;w=900, "auth";q=300;w=900')
  t.match(rejected.headers.get('ratelimit'), /^"sign-in";r=0;t=1[5-8]\d, "auth";r=2\d\d;t=\d$/)
  t.match(rejected.headers.get('retry-after'), /^1[5-8]\d$/, 'one token is refilled every three minutes')
  t.equal((await signUp(system.url)).user.name, 'Ada', 'sign-ups have a class of their own')

  t.equal((await getMe(other.url, ada.accessToken)).status, 200)
  t.equal((await refresh(system.url, ada.refreshToken)).status, 200)
  t.equal((await request('GET', `${system.url}/.well-known/jwks.json`)).status, 200)

  const read = async (name: string, labels: Record<string, string> = {}) =>
    samplesOf(await scrape(system.gateway), name, labels)[0]?.value
  const decisions = (outcome: string) => read('rate_limit_decisions_total', { class: 'auth', outcome })
  t.ok(((await decisions('admitted')) ?? 0) >= 16, 'the wider limit of the gateway admits all attempts')
  t.equal(await decisions('refused'), undefined)
  const { value } = samplesOf(await scrape(system.authSvc), 'sign_in_refusals_total', { cause: 'exhausted' })[0] ?? {}
  t.equal(value, 12)
  const fallback = () => read('rate_limit_fallback')
  t.equal(await fallback(), 0)
  await redis.kill()
  await until(fallback, value => value === 1)
  await redis.restart()
  await until(fallback, value => value === 0)
})
