import t from 'tap'
import { request, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

const { url } = await startSystem(t)
const [ada, grace] = [await signUp(url), await signUp(url)]

t.test('the life cycle of a document over REST: create, share, comment, update, search, delete', async t => {
  const body = { title: 'Plan', body: 'Of all things', tags: ['draft'] }
  const created = await request('POST', `${url}/v1/docs`, { token: ada.accessToken, body })
  t.match(created, { status: 201, body: { ...body, ownerId: ada.user.id, visibility: 'private' } })
  const { id } = created.body as { id: string }
  const at = `${url}/v1/docs/${id}`

  t.match(await request('GET', at, { token: grace.accessToken }), { status: 404, body: { code: 'not_found' } })
  const grant = { token: ada.accessToken, body: { access: 'read' } }
  t.match(await request('PUT', `${at}/grants/${grace.user.id}`, grant), { status: 200, body: { access: 'read' } })
  t.match(await request('GET', at, { token: grace.accessToken }), { status: 200, body: { title: 'Plan' } })
  t.match(await request('PATCH', at, { token: grace.accessToken, body: { title: 'Mine' } }), { status: 403 })

  const comment = { token: grace.accessToken, body: { body: 'Well', sentiment: 0.5 } }
  t.match(await request('POST', `${at}/comments`, comment), { status: 201, body: { sentiment: 0.5 } })
  t.match(await request('GET', `${at}/comments`, { token: ada.accessToken }), {
    status: 200,
    body: { comments: [{ body: 'Well', authorName: 'Ada' }] },
  })

  const change = { token: ada.accessToken, body: { visibility: 'public' } }
  t.match(await request('PATCH', `${at}?updateMask=visibility,tags`, change), {
    status: 200,
    body: { title: 'Plan', visibility: 'public' },
  })
  t.match(
    await request('GET', at),
    { status: 200, body: { tags: [], body: 'Of all things' } },
    'an anonymous client reads a public document',
  )
  t.match(await request('GET', `${url}/v1/docs?owner=${ada.user.id}&pageSize=1`), {
    status: 200,
    body: { documents: [{ id, ownerName: 'Ada' }] },
  })

  t.match(await request('GET', `${url}/v1/search?q=${encodeURIComponent('"all things" pl*')}`), {
    status: 200,
    body: { results: [{ documentId: id, title: [{ text: 'Plan', isMatch: true }] }] },
  })
  t.match(await request('GET', `${url}/v1/search?q=-plan`), { status: 400, body: { errors: [{ field: 'q' }] } })

  const stale = (await request('GET', at)).headers.get('etag') ?? ''
  const emptied = { token: ada.accessToken, body: { tags: [], title: 'Plan B' } }
  t.match(await request('PATCH', at, emptied), { status: 200, body: { tags: [], title: 'Plan B' } })
  t.match(await request('PATCH', at, { ...emptied, headers: { 'if-match': stale } }), {
    status: 412,
    body: { code: 'etag_mismatch' },
  })
  t.match(await request('DELETE', at, { token: ada.accessToken, headers: { 'if-match': stale } }), { status: 412 })

  t.match(await request('DELETE', at, { token: grace.accessToken }), { status: 403 })
  t.match(await request('DELETE', at, { token: ada.accessToken }), { status: 204 })
  t.match(await request('GET', at, { token: ada.accessToken }), { status: 404 })
})

t.test('POST /v1/docs with an invalid field returns 400 with the name of the field', async t => {
  const send = (body: unknown) => request('POST', `${url}/v1/docs`, { token: ada.accessToken, body })
  t.match(await send({ body: 'x' }), { status: 400, body: { errors: [{ field: 'title' }] } })
  t.match(await send({ title: 'x', visibility: 'secret' }), {
    status: 400,
    body: { errors: [{ field: 'visibility' }] },
  })
  t.match(await send({ title: 'x', visibility: 'department' }), {
    status: 400,
    body: { errors: [{ field: 'department' }] },
  })
  t.match(await request('POST', `${url}/v1/docs`, { body: { title: 'x' } }), { status: 401 })
})
