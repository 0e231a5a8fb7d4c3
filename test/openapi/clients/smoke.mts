/** Calls the running system through the client of openapi-typescript and openapi-fetch. Argument: the base URL. */
import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { paths } from './api.ts'

const client = createClient<paths>({ baseUrl: process.argv[2] ?? '' })

const email = `typescript-${Date.now()}@example.com`
const signUp = await client.POST('/v1/auth/signup', {
  body: { email, password: 'a plain but lengthy phrase', name: null, tokenDelivery: 'body' },
})
assert.ok(signUp.data, JSON.stringify(signUp.error))
const token: string = signUp.data.accessToken
client.use({
  onRequest({ request }) {
    request.headers.set('authorization', `Bearer ${token}`)
    return request
  },
})

const wrong = await client.POST('/v1/auth/login', { body: { email, password: 'wrong' } })
assert.equal(wrong.response.status, 401)
const code: string | undefined = wrong.error?.code
assert.equal(code, 'invalid_credentials')

const created = await client.POST('/v1/docs', { body: { title: 'Plan', tags: ['draft'] } })
assert.ok(created.data, JSON.stringify(created.error))
const id: string = created.data.id
const updated = await client.PATCH('/v1/docs/{id}', {
  params: { path: { id }, header: { 'If-Match': `"${created.data.etag}"` } },
  body: { title: 'Plan B', tags: null },
})
assert.ok(updated.data, JSON.stringify(updated.error))
const listed = await client.GET('/v1/docs', { params: { query: { pageSize: 0, sort: '-updatedAt' } } })
const titles: string[] = listed.data?.documents.map(({ title }) => title) ?? []
assert.deepEqual(titles, ['Plan B'])
const removed = await client.DELETE('/v1/docs/{id}', { params: { path: { id } } })
assert.equal(removed.response.status, 204)
console.log('smoke test passed')
