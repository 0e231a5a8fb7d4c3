import t from 'tap'
import { login, PASSWORD, request, signIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const system = await startSystem(t)
const { url, administrator } = system
const root = (await signIn(url, administrator.email, administrator.password)).accessToken
const asRoot = (method: string, path: string, body?: unknown) =>
  request(method, `${url}/v1/admin/users/${path}`, { token: root, body })

/** Until the address and the password no longer sign in. */
const untilOut = (email: string) =>
  until(
    () => login(url, email),
    ({ status }) => status === 401,
  )

t.test('a closed account that is restored signs in again, with its documents', async t => {
  const { user, accessToken } = await signUp(url)
  const created = await request('POST', `${url}/v1/docs`, { token: accessToken, body: { title: 'Plan' } })
  const { id } = created.body as { id: string }
  t.match(await request('DELETE', `${url}/v1/users/me`, { token: accessToken }), { status: 204 })
  await untilOut(user.email)

  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 200, body: { email: user.email } })
  await until(
    () => login(url, user.email),
    ({ status }) => status === 200,
  )
  const again = await signIn(url, user.email)
  t.equal(again.user.id, user.id)
  t.match(await request('GET', `${url}/v1/docs/${id}`, { token: again.accessToken }), { status: 200 })
})

t.test('a closed account whose address signed up anew is not restored', async t => {
  const { user, accessToken } = await signUp(url)
  await request('DELETE', `${url}/v1/users/me`, { token: accessToken })
  const body = { email: user.email, password: PASSWORD, name: 'Grace', tokenDelivery: 'body' }
  // The address is free when auth-svc has followed, a moment after nobody signs in by it any more.
  await until(
    () => request('POST', `${url}/v1/auth/signup`, { body }),
    ({ status }) => status === 201,
  )
  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 409, body: { code: 'email_taken' } })
  t.match(await signIn(url, user.email), { user: { name: 'Grace' } })
})

t.test('an erasure goes through though auth-svc was killed meanwhile, and then nobody signs in any more', async t => {
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
  await untilOut(user.email)
  t.match(await asRoot('POST', `${user.id}:restore`, {}), { status: 400, body: { code: 'account_erased' } })
  const body = { email: user.email, password: PASSWORD, name: 'Grace', tokenDelivery: 'body' }
  t.match(await request('POST', `${url}/v1/auth/signup`, { body }), { status: 201 }, 'its address is free')
})
