/** Field masks of a request that are not the update mask of a resource. */
import { create } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { buildService, methodSource } from '../../support/service-contract.ts'

const service = buildService('read.v1.ReadService', {
  imports: ['google/protobuf/field_mask.proto'],
  methods: [
    methodSource('GetBook', '(GetBookRequest) returns (Book)', 'get: "/v1/books/{id}"'),
    methodSource('ListBooks', '(ListBooksRequest) returns (ListBooksResponse)', 'get: "/v1/books"'),
    methodSource('PostMasks', '(Masks) returns (Book)', 'post: "/v1/masks" body: "*"'),
    methodSource('PutMask', '(GetBookRequest) returns (Book)', 'put: "/v1/books/{id}/mask" body: "read_mask"'),
    methodSource('Batch', '(BatchRequest) returns (Book)', 'post: "/v1/books:batch" body: "*"'),
  ],
  messages: `
    message GetBookRequest { string id = 1; google.protobuf.FieldMask read_mask = 2; View view = 3; }
    message ListBooksRequest { google.protobuf.FieldMask fields = 1; }
    message ListBooksResponse { repeated Book books = 1; string next_page_token = 2; }
    message View { google.protobuf.FieldMask mask = 1; }
    message Book { string line_1 = 1; string camelCase = 2; string plain_name = 3; Book inner_Book = 4; }
    message Masks {
      google.protobuf.FieldMask single = 1;
      repeated google.protobuf.FieldMask list = 2;
      map<string, google.protobuf.FieldMask> map = 3;
      map<int32, google.protobuf.FieldMask> numbered = 4;
      oneof choice { google.protobuf.FieldMask chosen = 5; string text = 6; }
      repeated Masks nested = 7;
      map<string, View> views = 8;
    }
    message BatchRequest { repeated UpdateRequest requests = 1; }
    message UpdateRequest { Book book = 1; google.protobuf.FieldMask update_mask = 2; }
  `,
})
const start = (t: Test) =>
  service.start(t, ({ method }) => create(service.message(method === 'ListBooks' ? 'ListBooksResponse' : 'Book')))

/** Masks and their paths at the upstream. */
const PATHS: Readonly<Record<string, readonly string[]>> = {
  line1: ['line_1'],
  line_1: ['line_1'],
  'camelCase,plainName': ['camelCase', 'plain_name'],
  'plain_name,innerBook.inner_Book.line1': ['plain_name', 'inner_Book.inner_Book.line_1'],
  'unknownName,no_field,a_b.c': ['unknown_name', 'no_field', 'a_b.c'],
  '*': ['*'],
  '': [],
}
const EMPTY_PATHS = ['a,', ',a', 'a,,b', ',', 'a_b,']

t.test('a read mask has proto paths: names of the response, or names that are proto names already', async t => {
  const { call, send, upstream } = await start(t)
  const latest = () => upstream.received.at(-1)?.message
  for (const [mask, paths] of Object.entries(PATHS)) {
    for (const name of ['readMask', 'read_mask']) {
      t.equal((await call(`/v1/books/a?${name}=${mask}`)).status, 200, mask)
      t.match(latest(), { readMask: { paths } })
    }
    t.equal((await call(`/v1/books/a?view.mask=${mask}`)).status, 200, mask)
    t.match(latest(), { view: { mask: { paths } } })
    t.equal((await call(`/v1/books?fields=${mask}`)).status, 200, mask)
    t.match(latest(), { fields: { paths } })
    t.equal((await send('PUT', '/v1/books/a/mask', JSON.stringify(mask))).status, 200, mask)
    t.match(latest(), { readMask: { paths } })
  }
})

t.test('masks in lists, maps, oneofs and nested messages have proto paths', async t => {
  const { send, upstream } = await start(t)
  for (const [mask, paths] of Object.entries(PATHS)) {
    const masks = { single: mask, list: ['a_b', mask], map: { k: mask, ['__proto__']: mask }, chosen: mask }
    const body = JSON.stringify({ ...masks, nested: [{}, masks], views: { k: { mask }, l: {} } })
    t.equal((await send('POST', '/v1/masks', body)).status, 200, mask)
    const set = { paths }
    const expected = {
      single: set,
      list: [{ paths: ['a_b'] }, set],
      map: { k: set, ['__proto__']: set },
      choice: { case: 'chosen', value: set },
    }
    t.match(upstream.received.at(-1)?.message, { ...expected, nested: [{}, expected], views: { k: { mask: set } } })
  }
  t.equal((await send('POST', '/v1/masks', { numbered: { '1': 'plainName' } })).status, 200)
  t.match(upstream.received.at(-1)?.message, { numbered: { 1: { paths: ['plain_name'] } } })
})

t.test('an update mask in a nested message refers to the resource beside it', async t => {
  const { send, upstream } = await start(t)
  const requests = [
    { book: {}, updateMask: 'line1,camelCase' },
    { book: {}, update_mask: 'inner_Book.line_1' },
  ]
  t.equal((await send('POST', '/v1/books:batch', { requests })).status, 200)
  t.match(upstream.received.at(-1)?.message, {
    requests: [{ updateMask: { paths: ['line_1', 'camelCase'] } }, { updateMask: { paths: ['inner_Book.line_1'] } }],
  })
  const rejected = await send('POST', '/v1/books:batch', { requests: [{ book: {}, updateMask: 'no_field' }] })
  t.match(await rejected.json(), { status: 400, errors: [{ field: 'requests[0].updateMask' }] })
})

t.test('a mask with an empty path is a violation', async t => {
  const { call, send, upstream } = await start(t)
  for (const mask of EMPTY_PATHS) {
    for (const [response, field] of [
      [await call(`/v1/books/a?readMask=${mask}`), 'readMask'],
      [await call(`/v1/books/a?view.mask=${mask}`), 'view.mask'],
      [await send('POST', '/v1/masks', { list: ['a', mask] }), 'list[1]'],
      [await send('POST', '/v1/masks', { numbered: { '1': mask } }), 'numbered[1]'],
      [await send('POST', '/v1/books:batch', { requests: [{ book: {}, updateMask: mask }] }), 'requests[0].updateMask'],
    ] as const) {
      t.equal(response.status, 400, `${field} ${mask}`)
      t.match(await response.json(), {
        errors: [{ field, description: 'must be names of fields, separated by commas' }],
      })
    }
  }
  t.equal(upstream.received.length, 0)
})
