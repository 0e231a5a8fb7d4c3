import { randomUUID } from 'node:crypto'
import t from 'tap'
import { getMe, request, signIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

const { url, administrator } = await startSystem(t)
const root = (await signIn(url, administrator.email, administrator.password)).accessToken
const post = (path: string, body: unknown) => request('POST', `${url}${path}`, { token: root, body })

t.test('a role change takes effect at the gateway within one second, a department change immediately', async t => {
  const [ada, grace] = [await signUp(url), await signUp(url)]
  const at = (id: string) => `${url}/v1/admin/users/${id}`
  for (const { user } of [ada, grace])
    t.match(await request('PATCH', at(user.id), { token: root, body: { department: 'sales' } }), { status: 200 })
  const document = { title: 'Plan', visibility: 'department' }
  const { body } = await request('POST', `${url}/v1/docs`, { token: ada.accessToken, body: document })
  const read = () => request('GET', `${url}/v1/docs/${(body as { id: string }).id}`, { token: grace.accessToken })
  t.match(await read(), { status: 200 })
  await request('PATCH', at(grace.user.id), { token: root, body: { department: 'law' } })
  t.match(await read(), { status: 404 })

  t.match(await post('/v1/admin/users:updateRole', { filter: { department: 'sales' }, role: 'editor' }), {
    status: 200,
    body: { matched: 1, changed: 1 },
  })
  const tookMs = await until(
    () => getMe(url, ada.accessToken),
    response => response.status === 401,
    { everyMs: 20 },
  )
  t.comment(`the old token was rejected after ${Math.round(tookMs)} ms`)
  t.match(await signIn(url, ada.user.email), { user: { role: 'editor' } })
})

t.test('lists, trees and reports are available to administrators only', async t => {
  const { accessToken } = await signUp(url)
  for (const path of [
    'users',
    'users:tree',
    'reports/signups?days=3&timeZone=Europe/Zurich',
    'reports/users?minDocs=0',
  ]) {
    t.match(await request('GET', `${url}/v1/admin/${path}`, { token: root }), { status: 200 }, path)
    t.match(await request('GET', `${url}/v1/admin/${path}`, { token: accessToken }), { status: 403 }, path)
  }
  t.match(await request('GET', `${url}/v1/admin/reports/signups?timeZone=Moon/Base`, { token: root }), {
    status: 400,
    body: { errors: [{ field: 'timeZone' }] },
  })
  t.match(await post('/v1/admin/users:delete', { filter: {} }), {
    status: 400,
    body: { errors: [{ field: 'filter' }] },
  })
})

t.test('an empty value of a filter is 400 and names the field', async t => {
  for (const target of [
    'admin/users?state=',
    'admin/users?role=',
    'admin/users?department=',
    'admin/users?emailPrefix=',
    'admin/users?createdSince=',
    'admin/users?createdBefore=',
    'docs?owner=',
    'docs?tag=',
    'docs?updatedSince=',
  ]) {
    const [, name] = /\?(.+)=$/.exec(target) ?? []
    const response = await request('GET', `${url}/v1/${target}`, { token: root })
    t.match(response, { status: 400, body: { errors: [{ field: name }] } }, target)
  }
  for (const name of ['role', 'department', 'emailSuffix', 'createdSince', 'createdBefore']) {
    t.match(
      await post('/v1/admin/users:delete', { filter: { ids: [randomUUID()], [name]: '' }, dryRun: true }),
      { status: 400, body: { errors: [{ field: `filter.${name}` }] } },
      name,
    )
  }
})

t.test('an empty list in the filter of a bulk change is 400 and changes no user', async t => {
  const { user } = await signUp(url)
  const changes = { 'users:delete': {}, 'users:updateRole': { role: 'editor' } }
  const others = [{}, { createdSince: '2026-01-01T00:00:00Z' }, { role: 'user' }, { emailSuffix: '@example.com' }]
  for (const [path, change] of Object.entries(changes)) {
    for (const other of others) {
      for (const filter of [
        { ...other, ids: [] },
        { ids: [], ...other },
      ]) {
        t.match(
          await post(`/v1/admin/${path}`, { ...change, filter }),
          { status: 400, body: { errors: [{ field: 'filter.ids', description: 'has 0 entries, the minimum is 1' }] } },
          `${path} ${JSON.stringify(filter)}`,
        )
      }
    }
    for (const filter of [undefined, null, {}, { ids: null }, { role: null, createdSince: null }]) {
      const response = await post(`/v1/admin/${path}`, { ...change, filter })
      t.match(response, { status: 400, body: { errors: [{ field: 'filter' }] } }, `${path} ${JSON.stringify(filter)}`)
    }
  }
  t.match(await signIn(url, user.email), { user: { role: 'user' } }, 'the user is active and has its role')
})

t.test('NUL in a query parameter is 400 and names the field', async t => {
  t.match(await request('GET', `${url}/v1/admin/users?department=%00`, { token: root }), {
    status: 400,
    body: { code: 'invalid_argument', errors: [{ field: 'department' }] },
  })
})
