import t from 'tap'
import { refresh, type SignedIn, signUp, whoAmI } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

t.test('fifty refreshes of one token at the same time give one successor, and the session lives', async t => {
  const system = await startSystem(t)
  const { refreshToken } = await signUp(system.url)

  const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(system.url, refreshToken)))
  t.strictSame([...new Set(answers.map(({ status }) => status))], [200], 'nobody is turned away')
  const successors = new Set(answers.map(({ body }) => (body as SignedIn).refreshToken))
  t.equal(successors.size, 1)
  for (const { body } of answers.slice(0, 3)) {
    t.equal((await whoAmI(system.url, (body as SignedIn).accessToken)).status, 200, 'each access token is good')
  }

  const [successor = ''] = successors
  const next = await refresh(system.url, successor)
  t.equal(next.status, 200, 'the successor can be used')
  t.equal((await whoAmI(system.url, (next.body as SignedIn).accessToken)).status, 200)
})
