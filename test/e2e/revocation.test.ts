import t from 'tap'
import { getMe, request, type SignedIn, signIn, signUp } from '../support/rest-client.ts'
import { scrape } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t)
const other = await system.startGateway()
/** Longer than the promised second, shorter than the 10 s after which gateways fetch a snapshot instead. */
const STREAM_TIMEOUT = { timeoutMs: 5000 }

t.test('a logout at one gateway revokes the access token at another gateway', async t => {
  const { accessToken, refreshToken } = await signUp(system.url)
  t.equal((await getMe(other.url, accessToken)).status, 200)

  const response = await request('POST', `${system.url}/v1/auth/logout`, { body: { refreshToken } })
  t.equal(response.status, 204)
  t.match(
    await getMe(system.url, accessToken),
    { status: 401, body: { code: 'token_revoked' } },
    'the gateway of the logout rejects the token immediately',
  )
  const ms = await until(
    () => getMe(other.url, accessToken),
    ({ status }) => status === 401,
    STREAM_TIMEOUT,
  )
  t.comment(`401 at the other gateway ${ms.toFixed(0)} ms after the response of the logout (promised: 1000 ms)`)
})

t.test(
  'a change of role at one gateway revokes the access token at another gateway, and a refresh returns the new role',
  async t => {
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
      () => getMe(other.url, ada.accessToken),
      ({ status }) => status === 401,
      STREAM_TIMEOUT,
    )
    t.comment(`401 at the other gateway ${ms.toFixed(0)} ms after the response of the change (promised: 1000 ms)`)

    const refreshed = await request('POST', `${other.url}/v1/auth/refresh`, {
      body: { refreshToken: ada.refreshToken },
    })
    t.equal(refreshed.status, 200, 'the session stays active')
    const { accessToken } = refreshed.body as SignedIn
    t.equal((await request('GET', `${other.url}/v1/users`, { token: accessToken })).status, 200)
  },
)

t.test('a demoted user loses the permissions of the old role at every gateway', async t => {
  const ada = await signUp(system.url)
  const { email, password } = system.administrator
  const admin = await signIn(system.url, email, password)
  const setRole = (role: string) =>
    request('PATCH', `${system.url}/v1/admin/users/${ada.user.id}`, { token: admin.accessToken, body: { role } })
  await setRole('moderator')
  let moderator = await signIn(system.url, ada.user.email)
  // auth-svc applies the change of role asynchronously.
  await until(
    async () => {
      moderator = await signIn(system.url, ada.user.email)
      return request('GET', `${other.url}/v1/users`, { token: moderator.accessToken })
    },
    ({ status }) => status === 200,
  )

  await setRole('user')
  const ms = await until(
    () => request('GET', `${other.url}/v1/users`, { token: moderator.accessToken }),
    ({ status }) => status === 401 || status === 403,
    STREAM_TIMEOUT,
  )
  t.comment(`rejected at the other gateway ${ms.toFixed(0)} ms after the response of the demotion (promised: 1000 ms)`)
})

t.test('the metrics of a gateway report the lag and the heartbeat age of its revocations', async t => {
  const readMetrics = async () => {
    const { samples } = await scrape(other)
    const value = (name: string) => samples.find(sample => sample.name === name)?.value ?? Number.NaN
    return {
      entries: value('revocation_entries'),
      lag: value('revocation_lag_seconds'),
      heartbeatAge: value('revocation_silence_seconds'),
      applied: value('revocation_applied_lag_seconds'),
    }
  }
  await until(readMetrics, ({ lag, heartbeatAge }) => lag < 2 && heartbeatAge < 5)
  const { entries, applied } = await readMetrics()
  t.ok(entries > 0)
  t.ok(applied > 0)
})
