import t from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { getMe, login, PASSWORD, request, type SignedIn, uniqueEmail } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t)

/** Kills auth-svc during a sign-up: the account exists, the user in user-svc does not. */
async function crashDuringSignUp(email: string): Promise<void> {
  system.userSvc.signal('SIGSTOP')
  const body = { email, password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const response = request('POST', `${system.url}/v1/auth/signup`, { body })
  await until(
    () => accountStatus(email),
    status => status === 'pending',
  )
  await system.authSvc.kill()
  system.userSvc.signal('SIGCONT')
  const { status } = await response
  if (status < 500) throw new Error(`Expected the sign-up to fail, got status ${status}`)
}

function accountStatus(email: string): Promise<string | undefined> {
  return withClient(system.databases.adminUrl, async client => {
    const { rows } = await client.query<{ status: string }>('select status from auth.accounts where email = $1', [
      email,
    ])
    return rows[0]?.status
  })
}

t.test('a sign-up during which auth-svc crashed is completed by a sign-in', async t => {
  const email = uniqueEmail()
  await crashDuringSignUp(email)
  await system.authSvc.start()

  await until(
    () => login(system.url, email),
    ({ status }) => status === 200,
  )
  const { body } = await login(system.url, email)
  const { accessToken } = body as SignedIn
  t.match(await getMe(system.url, accessToken), { status: 200, body: { email, name: 'Ada', role: 'user' } })
  t.equal(await accountStatus(email), 'active')
})

t.test('a sign-up during which auth-svc crashed is completed by its job', async t => {
  const email = uniqueEmail()
  await crashDuringSignUp(email)
  await system.authSvc.start()

  const ms = await until(
    () => accountStatus(email),
    status => status === 'active',
    { timeoutMs: 60_000, everyMs: 100 },
  )
  t.comment(`completed ${(ms / 1000).toFixed(1)} s after the restart`)
  // The gateway may not have reconnected to auth-svc yet.
  await until(
    () => login(system.url, email),
    ({ status }) => status === 200,
  )
  const { body } = await login(system.url, email)
  t.match(await getMe(system.url, (body as SignedIn).accessToken), { status: 200, body: { email, name: 'Ada' } })
})

t.test('a repeated sign-up after a crash of auth-svc returns the same account', async t => {
  const email = uniqueEmail()
  await crashDuringSignUp(email)
  await system.authSvc.start()

  const body = { email, password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const signUp = () => request('POST', `${system.url}/v1/auth/signup`, { body })
  await until(signUp, ({ status }) => status === 201)
  const [first, second] = [await signUp(), await signUp()]
  t.equal((first.body as SignedIn).user.id, (second.body as SignedIn).user.id)
  t.match(await getMe(system.url, (first.body as SignedIn).accessToken), { status: 200, body: { email, name: 'Ada' } })
})
