import t from 'tap'
import { request, type SignedIn, signIn, signUp, whoAmI } from '../support/rest-client.ts'
import { scrape } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t)
const other = await system.startGateway()
/** Of a second that is promised. Without the stream, what auth-svc is asked itself comes after ten. */
const BY_THE_STREAM = { timeoutMs: 5000 }

t.test('a logout at one gateway ends the access token at another', async t => {
  const { accessToken, refreshToken } = await signUp(system.url)
  t.equal((await whoAmI(other.url, accessToken)).status, 200)

  const answer = await request('POST', `${system.url}/v1/auth/logout`, { body: { refreshToken } })
  t.equal(answer.status, 204)
  t.match(await whoAmI(system.url, accessToken), { status: 401, body: { code: 'token_revoked' } }, 'here at once')
  const ms = await until(
    () => whoAmI(other.url, accessToken),
    ({ status }) => status === 401,
    BY_THE_STREAM,
  )
  t.comment(`401 at the other gateway ${ms.toFixed(0)} ms after the answer of the logout (promised: 1000)`)
})

t.test('a change of role at one gateway ends the access token at another, and the next one has the role', async t => {
  const ada = await signUp(system.url)
  const { email, password } = system.administrator
  const admin = await signIn(system.url, email, password)
  t.equal((await request('GET', `${other.url}/v1/users`, { token: ada.accessToken })).status, 403)

  const changed = await request('PATCH', `${system.url}/v1/admin/users/${ada.user.id}`, {
    token: admin.accessToken,
    body: { role: 'moderator' },
  })
  t.match(changed, { status: 200, body: { role: 'moderator' } })
  const ms = await until(
    () => whoAmI(other.url, ada.accessToken),
    ({ status }) => status === 401,
    BY_THE_STREAM,
  )
  t.comment(`401 at the other gateway ${ms.toFixed(0)} ms after the answer of the change (promised: 1000)`)

  const refreshed = await request('POST', `${other.url}/v1/auth/refresh`, { body: { refreshToken: ada.refreshToken } })
  t.equal(refreshed.status, 200, 'the session goes on')
  const { accessToken } = refreshed.body as SignedIn
  t.equal((await request('GET', `${other.url}/v1/users`, { token: accessToken })).status, 200)
})

t.test('a user who is demoted can do no more than before, at any gateway', async t => {
  const ada = await signUp(system.url)
  const { email, password } = system.administrator
  const admin = await signIn(system.url, email, password)
  const giveRole = (role: string) =>
    request('PATCH', `${system.url}/v1/admin/users/${ada.user.id}`, { token: admin.accessToken, body: { role } })
  await giveRole('moderator')
  let moderator = await signIn(system.url, ada.user.email)
  // The projection of the role follows the change.
  await until(
    async () => {
      moderator = await signIn(system.url, ada.user.email)
      return request('GET', `${other.url}/v1/users`, { token: moderator.accessToken })
    },
    ({ status }) => status === 200,
  )

  await giveRole('user')
  const ms = await until(
    () => request('GET', `${other.url}/v1/users`, { token: moderator.accessToken }),
    ({ status }) => status === 401 || status === 403,
    BY_THE_STREAM,
  )
  t.comment(`refused at the other gateway ${ms.toFixed(0)} ms after the answer of the demotion (promised: 1000)`)
})

t.test('how far behind a gateway is stands in its metrics', async t => {
  const figures = async () => {
    const { samples } = await scrape(other)
    const value = (name: string) => samples.find(sample => sample.name === name)?.value ?? Number.NaN
    return {
      entries: value('revocation_entries'),
      lag: value('revocation_lag_seconds'),
      silence: value('revocation_silence_seconds'),
      applied: value('revocation_applied_lag_seconds'),
    }
  }
  await until(figures, ({ lag, silence }) => lag < 2 && silence < 5)
  const { entries, applied } = await figures()
  t.ok(entries > 0)
  t.ok(applied > 0)
})
