import t from 'tap'
import { login, refresh, request, signUp, whoAmI } from '../support/rest-client.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import { startTestRedis } from '../support/test-redis.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

t.test('guessing a password is stopped at every gateway, and nobody who is signed in notices', async t => {
  const redis = await startTestRedis(t)
  const system = await startSystem(t, { limits: 'as shipped', redisUrl: redis.url })
  const other = await system.startGateway()
  const ada = await signUp(system.url)
  t.equal((await login(system.url, ada.user.email)).status, 200)

  const answers = []
  for (const gateway of [system.url, other.url, system.url, other.url, system.url]) {
    answers.push(await login(gateway, ada.user.email, 'wrong but long enough'))
  }
  t.strictSame(
    answers.map(({ status }) => status),
    [401, 401, 401, 401, 429],
    'the sign-up took the fifth token, the right password none',
  )
  const refused = answers.at(-1)
  t.match(refused?.body, { code: 'rate_limited', status: 429 })
  t.equal(refused?.headers.get('ratelimit-policy'), '"auth";q=5;w=900')
  t.match(refused?.headers.get('ratelimit'), /^"auth";r=0;t=1[78]\d$/)
  t.match(refused?.headers.get('retry-after'), /^1[78]\d$/, 'a token comes back in three minutes')

  t.equal((await whoAmI(other.url, ada.accessToken)).status, 200)
  t.equal((await refresh(system.url, ada.refreshToken)).status, 200)
  t.equal((await request('GET', `${system.url}/.well-known/jwks.json`)).status, 200)

  const measured = async (name: string, labels: Record<string, string> = {}) =>
    samplesOf(await scrape(system.gateway), name, labels)[0]?.value
  const decisions = (outcome: string) => measured('rate_limit_decisions_total', { class: 'auth', outcome })
  t.equal(await decisions('refused'), 1, 'the metrics count what is refused')
  t.equal(await decisions('admitted'), 4, 'and what is not: a sign-up, a right password, two wrong ones')
  const fallback = () => measured('rate_limit_fallback')
  t.equal(await fallback(), 0)
  await redis.kill()
  await until(fallback, value => value === 1)
  await redis.restart()
  await until(fallback, value => value === 0)
})
