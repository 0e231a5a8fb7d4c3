import t from 'tap'
import { login, refresh, request, signUp, whoAmI } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

t.test('guessing a password is stopped at every gateway, and nobody who is signed in notices', async t => {
  const system = await startSystem(t, { limits: 'as shipped' })
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
})
