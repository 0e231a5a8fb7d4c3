/** Conditional requests and update masks through a complete gateway; both codecs must agree. */
import { create, type Message } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { buildRouteTable } from '../../../gateway/contract/route-table.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'
import { createComparingCodec } from './compiled/comparing-codec.ts'

const service = buildService('note.v1.NoteService', {
  imports: ['field_mask', 'struct', 'timestamp'].map(name => `google/protobuf/${name}.proto`),
  methods: [
    methodSource('GetNote', '(GetNoteRequest) returns (Note)', 'get: "/v1/notes/{id}"'),
    methodSource('UpdateNote', '(UpdateNoteRequest) returns (Note)', 'patch: "/v1/notes/{id}" body: "note"'),
    methodSource('ReplaceNote', '(UpdateNoteRequest) returns (Note)', 'post: "/v1/notes/{id}:replace" body: "*"'),
    methodSource('DeleteNote', '(GetNoteRequest) returns (Note)', 'delete: "/v1/notes/{id}"'),
  ],
  messages: `
    message GetNoteRequest { string id = 1; }
    message UpdateNoteRequest {
      string id = 1;
      Note note = 2;
      google.protobuf.FieldMask update_mask = 3;
      repeated string if_match = 4 [(edge.v1.if_match) = true];
    }
    message Note {
      string main_title = 1;
      repeated string tags = 2;
      Cover cover = 3;
      map<string, int32> counts = 4;
      google.protobuf.Timestamp read_at = 5;
      google.protobuf.Struct extra = 6;
      string etag = 7 [(edge.v1.etag) = true];
    }
    message Cover { string colour = 1; Cover inner_cover = 2; }
  `,
})
const Note = service.message('Note')

interface Update {
  ifMatch: string[]
  updateMask?: { paths: string[] }
}

async function start(t: Test, respond: (update: Message & Update) => Message = () => create(Note)) {
  const gateway = await service.start(t, ({ message }) => respond(message as Message & Update))
  const latest = () => gateway.upstream.received.at(-1)?.message as Message & Update
  return { ...gateway, latest }
}

const tagged = (etag: string) => create(Note, { etag } as Record<string, unknown>)

t.test('the entity tags of If-Match are bound to the if_match field without quotes', async t => {
  const { send, latest } = await start(t)
  const patch = (headers: Record<string, string>) => send('PATCH', '/v1/notes/a', {}, headers)
  for (const [header, tags] of [
    ['"1", "2"', ['1', '2']],
    ['*', ['*']],
    ['W/"1"', ['']],
  ] as const) {
    t.equal((await patch({ 'if-match': header })).status, 200)
    t.same(latest().ifMatch, tags)
  }
  await patch({})
  t.same(latest().ifMatch, [])
  const rejected = await patch({ 'if-match': 'invalid' })
  t.equal(rejected.status, 400)
  t.match(await rejected.json(), { errors: [{ field: 'If-Match' }] })
})

t.test('the if_match field is bound to the header only, not to the query or the body', async t => {
  const { send } = await start(t)
  t.match(await (await send('PATCH', '/v1/notes/a?ifMatch=1', {})).json(), { errors: [{ field: 'ifMatch' }] })
  t.match(await (await send('PATCH', '/v1/notes/a?if_match=1', {})).json(), { errors: [{ field: 'if_match' }] })
  for (const name of ['ifMatch', 'if_match'])
    for (const headers of [{}, { 'if-match': '"1"' }] as Record<string, string>[])
      t.match(await (await send('POST', '/v1/notes/a:replace', { [name]: ['2'] }, headers)).json(), {
        errors: [{ field: name, description: 'is not known' }],
      })
})

t.test('ABORTED and FAILED_PRECONDITION become 412 for a request with If-Match only', async t => {
  for (const code of [Code.ABORTED, Code.FAILED_PRECONDITION]) {
    const { send } = await start(t, () => {
      throw new StatusError(code, 'The note was changed', { reason: 'etag_mismatch' })
    })
    const failed = await send('PATCH', '/v1/notes/a', {}, { 'if-match': '"1"' })
    t.equal(failed.status, 412)
    t.match(await failed.json(), { code: 'etag_mismatch', title: 'Precondition Failed' })
    t.not((await send('PATCH', '/v1/notes/a', {})).status, 412)
  }
})

t.test('a method without an if_match field rejects If-Match; GET ignores it', async t => {
  const { call, upstream } = await start(t)
  const headers = { 'if-match': '"1"' }
  const rejected = await call('/v1/notes/a', { method: 'DELETE', headers })
  t.equal(rejected.status, 400)
  t.match(await rejected.json(), { errors: [{ field: 'If-Match' }] })
  t.equal(upstream.received.length, 0)
  t.equal((await call('/v1/notes/a', { headers })).status, 200)
})

t.test('a response has its ETag in header and body, and GET with that tag in If-None-Match is 304', async t => {
  const { call, send } = await start(t, () => tagged('v-1'))
  const first = await call('/v1/notes/a')
  t.equal(first.headers.get('etag'), '"v-1"')
  t.match(await first.json(), { etag: 'v-1' })
  for (const ifNoneMatch of ['"v-1"', 'W/"v-1"', '"x", "v-1"', '*']) {
    const conditional = await call('/v1/notes/a', { headers: { 'if-none-match': ifNoneMatch } })
    t.equal(conditional.status, 304, ifNoneMatch)
    t.equal(await conditional.text(), '')
    t.equal(conditional.headers.get('etag'), '"v-1"')
  }
  t.equal((await call('/v1/notes/a', { headers: { 'if-none-match': '"v-2"' } })).status, 200)
  t.equal(
    (await send('PATCH', '/v1/notes/a', {}, { 'if-none-match': '"v-1"' })).status,
    200,
    'PATCH ignores If-None-Match',
  )
})

t.test('an empty tag, or one that is not allowed in a header, is in the body only', async t => {
  for (const etag of ['', 'a b', 'ü☃']) {
    const { call } = await start(t, () => tagged(etag))
    const response = await call('/v1/notes/a')
    t.equal(response.headers.get('etag'), null)
    t.match(await response.json(), { etag })
  }
})

t.test('both codecs treat an etag field that is encoded as an empty string as no tag', async t => {
  const routes = buildRouteTable([{ service: serviceOf(service.contract, service.service), upstream: 'x' }])
  const [route] = routes.filter(({ httpMethod }) => httpMethod === 'GET')
  if (route === undefined) throw new Error('The contract has no GET route')
  const { etag } = createComparingCodec(route, service.contract).decode(Uint8Array.from([(7 << 3) | 2, 0]))
  t.equal(etag, undefined)
})

t.test('the update mask of a PATCH without one lists the fields of its body', async t => {
  const { send, latest } = await start(t)
  for (const [body, paths] of [
    [{ tags: [] }, ['tags']],
    [{ mainTitle: '', main_title: undefined }, ['main_title']],
    [{ main_title: 'x', readAt: null }, ['main_title', 'read_at']],
    [{ cover: { colour: 'red', innerCover: { colour: '' } } }, ['cover.colour', 'cover.inner_cover.colour']],
    [{ cover: {}, counts: { a: 1 }, extra: { b: { c: 1 } } }, ['cover', 'counts', 'extra']],
    [{}, []],
  ] as const) {
    t.equal((await send('PATCH', '/v1/notes/a', body)).status, 200)
    t.same(latest().updateMask?.paths, paths)
  }
  t.match(await (await send('PATCH', '/v1/notes/a', { unknown: 1 })).json(), { errors: [{ field: 'note.unknown' }] })
})

t.test('an update mask in the query is used instead of the fields of the body', async t => {
  const { send, latest } = await start(t)
  t.equal((await send('PATCH', '/v1/notes/a?updateMask=mainTitle,cover.innerCover', { tags: ['x'] })).status, 200)
  t.same(latest().updateMask?.paths, ['main_title', 'cover.inner_cover'])
  await send('PATCH', '/v1/notes/a?update_mask=tags', {})
  t.same(latest().updateMask?.paths, ['tags'])
})

t.test('the update mask lists every field of the body and nothing else', async t => {
  const { send, latest } = await start(t)
  const fields = { mainTitle: 'main_title', tags: 'tags', counts: 'counts', readAt: 'read_at', extra: 'extra' }
  const values: Record<string, unknown> = { mainTitle: '', tags: [], counts: {}, readAt: null, extra: { a: {} } }
  await fc.assert(
    fc.asyncProperty(fc.subarray(Object.entries(fields)), async members => {
      await send('PATCH', '/v1/notes/a', Object.fromEntries(members.map(([name]) => [name, values[name]])))
      t.strictSame(new Set(latest().updateMask?.paths), new Set(members.map(([, path]) => path)))
    }),
    { numRuns: 30 },
  )
})

t.test('an if_match field of another type or in a nested message fails at boot', async t => {
  for (const [field, message] of [
    ['string if_match = 9 [(edge.v1.if_match) = true];', /if_match field must be `repeated string`/],
    ['Deep deep = 9;', /if_match must be a direct field of the request/],
  ] as const) {
    const { contract } = buildService('c.v1.C', {
      methods: [methodSource('Set', '(Q) returns (Q)', 'post: "/v1" body: "*"')],
      messages: `
        message Q { ${field} }
        message Deep { repeated string if_match = 1 [(edge.v1.if_match) = true]; }`,
    })
    t.throws(() => buildRouteTable([{ service: serviceOf(contract, 'c.v1.C'), upstream: 'c' }]), { message })
  }
})
