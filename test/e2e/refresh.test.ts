import t from 'tap'
import { getMe, refresh, type SignedIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

t.test('fifty concurrent refreshes of one token return one successor and keep the session', async t => {
  const system = await startSystem(t)
  const { refreshToken } = await signUp(system.url)

  const responses = await Promise.all(Array.from({ length: 50 }, () => refresh(system.url, refreshToken)))
  t.strictSame([...new Set(responses.map(({ status }) => status))], [200], 'every refresh succeeds')
  const successors = new Set(responses.map(({ body }) => (body as SignedIn).refreshToken))
  t.equal(successors.size, 1)
  for (const { body } of responses.slice(0, 3)) {
    t.equal((await getMe(system.url, (body as SignedIn).accessToken)).status, 200, 'each access token is valid')
  }

  const [successor = ''] = successors
  const next = await refresh(system.url, successor)
  t.equal(next.status, 200, 'the successor is valid')
  t.equal((await getMe(system.url, (next.body as SignedIn).accessToken)).status, 200)
})
