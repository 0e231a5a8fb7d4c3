import t from 'tap'
import { login, PASSWORD, request, signIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t)
const { url, administrator } = system
const root = (await signIn(url, administrator.email, administrator.password)).accessToken
const asRoot = (method: string, path: string, body?: unknown) =>
  request(method, `${url}/v1/admin/users/${path}`, { token: root, body })

/** Waits until the credentials are rejected. */
const untilRejected = (email: string) =>
  until(
    () => login(url, email),
    ({ status }) => status === 401,
  )

t.test('a restored user can sign in and read their own documents', async t => {
  const { user, accessToken } = await signUp(url)
  const created = await request('POST', `${url}/v1/docs`, { token: accessToken, body: { title: 'Plan' } })
  const { id } = created.body as { id: string }
  t.match(await request('DELETE', `${url}/v1/users/me`, { token: accessToken }), { status: 204 })
  await untilRejected(user.email)

  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 200, body: { email: user.email } })
  await until(
    () => login(url, user.email),
    ({ status }) => status === 200,
  )
  const again = await signIn(url, user.email)
  t.equal(again.user.id, user.id)
  t.match(await request('GET', `${url}/v1/docs/${id}`, { token: again.accessToken }), { status: 200 })
})

t.test('a user whose e-mail address was used for a new sign-up cannot be restored', async t => {
  const { user, accessToken } = await signUp(url)
  await request('DELETE', `${url}/v1/users/me`, { token: accessToken })
  const body = { email: user.email, password: PASSWORD, name: 'Grace', tokenDelivery: 'body' }
  // auth-svc releases the address when it has processed the account change.
  await until(
    () => request('POST', `${url}/v1/auth/signup`, { body }),
    ({ status }) => status === 201,
  )
  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 409, body: { code: 'email_taken' } })
  t.match(await signIn(url, user.email), { user: { name: 'Grace' } })
})

t.test('an erasure requested while auth-svc is down completes after its restart, and sign-in fails', async t => {
  const { user, accessToken } = await signUp(url)
  await request('POST', `${url}/v1/docs`, { token: accessToken, body: { title: 'Plan' } })
  await system.authSvc.kill()
  const erased = await asRoot('POST', `${user.id}:erase`, {})
  t.match(erased, { status: 200, body: { userId: user.id, documents: 1 } })
  t.notMatch(erased.body, { identityErasedAt: String })

  await system.authSvc.start()
  await until(
    () => asRoot('GET', `${user.id}/erasure`),
    ({ body }) => (body as { identityErasedAt?: string }).identityErasedAt !== undefined,
  )
  await untilRejected(user.email)
  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 400, body: { code: 'account_erased' } })
  const body = { email: user.email, password: PASSWORD, name: 'Grace', tokenDelivery: 'body' }
  t.match(await request('POST', `${url}/v1/auth/signup`, { body }), { status: 201 }, 'the e-mail address is available')
})
