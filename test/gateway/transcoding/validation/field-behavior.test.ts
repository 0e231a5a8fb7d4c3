/** google.api.field_behavior (AIP-203) in requests, over HTTP. */
import { create, toJson } from '@bufbuild/protobuf'
import t from 'tap'
import { buildService, methodSource } from '../../../support/service-contract.ts'
import { until } from '../../../support/until.ts'

const service = buildService('lib.v1.LibraryService', {
  imports: ['google/api/field_behavior.proto', 'google/protobuf/field_mask.proto'],
  methods: [
    methodSource('CreateBook', '(CreateBookRequest) returns (Book)', 'post: "/v1/books" body: "book"'),
    methodSource('UpdateBook', '(UpdateBookRequest) returns (Book)', 'patch: "/v1/{book.name=books/*}" body: "book"'),
    methodSource('ReplaceBook', '(UpdateBookRequest) returns (Book)', 'put: "/v1/{book.name=books/*}" body: "*"'),
    methodSource('ImportBooks', '(ImportRequest) returns (Book)', 'post: "/v1/books:import" body: "*"'),
    methodSource('UpdateBooks', '(UpdateBooksRequest) returns (Book)', 'post: "/v1/books:update" body: "*"'),
    methodSource('FindBook', '(Book) returns (Book)', 'get: "/v1/find"'),
  ],
  messages: `
    message CreateBookRequest { Book book = 1 [(google.api.field_behavior) = REQUIRED]; }
    message UpdateBookRequest {
      Book book = 1 [(google.api.field_behavior) = REQUIRED];
      google.protobuf.FieldMask update_mask = 2;
    }
    message UpdateBooksRequest { repeated UpdateBookRequest requests = 1; }
    message ImportRequest {
      repeated Book books = 1 [(google.api.field_behavior) = REQUIRED];
      map<string, Book> by_id = 2;
    }
    message Book {
      string name = 1 [(google.api.field_behavior) = OUTPUT_ONLY];
      string title = 2 [(google.api.field_behavior) = REQUIRED];
      string isbn = 3 [(google.api.field_behavior) = IMMUTABLE];
      int64 view_count = 4 [(google.api.field_behavior) = OUTPUT_ONLY];
      Audit audit = 5;
      optional bool is_new = 6;
      repeated string reviews = 7 [(google.api.field_behavior) = OUTPUT_ONLY];
    }
    message Audit { string by_user = 1 [(google.api.field_behavior) = OUTPUT_ONLY]; string note = 2; }
  `,
})

// One gateway for all tests. The first request may be late: it compiles the check of its structure.
t.setTimeout(120_000)
const { send, call, upstream } = await service.start(t, () => create(service.message('Book')))
await until(
  async () => (await send('POST', '/v1/books', { title: 'a' })).status,
  status => status === 200,
)

/** Returns the latest request as the service received it. */
function received() {
  const { message } = upstream.received.at(-1) ?? {}
  return (
    message &&
    toJson(service.message(message.$typeName.slice('lib.v1.'.length)), message, { registry: service.contract })
  )
}

async function errorsOf(response: Response): Promise<string[]> {
  const { errors = [] } = (await response.json()) as {
    errors?: { field: string; detail?: string; description?: string }[]
  }
  return errors.map(({ field, description }) => `${field}: ${description}`)
}

t.test(
  'values of OUTPUT_ONLY fields are ignored in a body, so that a client may send back what it has read',
  async t => {
    const book = {
      name: 'books/9',
      title: 'Emma',
      isbn: '1',
      viewCount: '7',
      audit: { byUser: 'eve', note: 'n' },
      reviews: ['good'],
    }
    t.equal((await send('POST', '/v1/books', book)).status, 200)
    t.same(received(), { book: { title: 'Emma', isbn: '1', audit: { note: 'n' } } })

    t.equal((await send('POST', '/v1/books:import', { books: [book], byId: { a: book } })).status, 200)
    const kept = { title: 'Emma', isbn: '1', audit: { note: 'n' } }
    t.same(received(), { books: [kept], byId: { a: kept } }, 'also in lists and maps')
  },
)

t.test('a value of an OUTPUT_ONLY field must still have the type of the field', async t => {
  t.same(await errorsOf(await send('POST', '/v1/books', { title: 'Emma', viewCount: 'many' })), [
    'book.viewCount: must be a 64-bit integer',
  ])
})

t.test('an OUTPUT_ONLY field that the path binds identifies the resource and is kept', async t => {
  t.equal((await send('PATCH', '/v1/books/1', { isbn: '2', viewCount: 5 })).status, 200)
  t.match(received(), { book: { name: 'books/1', isbn: '2' } })
  t.notMatch(received(), { book: { viewCount: String } })
})

t.test('an OUTPUT_ONLY field in the query is 400: a query is no copy of a resource', async t => {
  t.same(await errorsOf(await call('/v1/find?title=a&viewCount=1&audit.byUser=x')), [
    'viewCount: cannot be given: the service sets it',
    'audit.byUser: cannot be given: the service sets it',
  ])
})

t.test('an update mask never names OUTPUT_ONLY fields, whose values would be erased', async t => {
  await send('PATCH', '/v1/books/1', { title: 'Emma', viewCount: 5, audit: { byUser: 'eve' } })
  t.match(received(), { updateMask: 'title' }, 'the default mask')
  await send('PATCH', '/v1/books/1?updateMask=title,viewCount,audit.byUser,reviews', { title: 'Emma' })
  t.match(received(), { updateMask: 'title' }, 'a given mask')
})

t.test('an update mask that names only OUTPUT_ONLY fields is 400, because an empty mask means all fields', async t => {
  const before = upstream.received.length
  const response = await send('PATCH', '/v1/books/1?updateMask=viewCount', { title: 'Emma' })
  t.same(await errorsOf(response), ['updateMask: names only fields that the service sets'])
  t.equal(upstream.received.length, before)
})

t.test('a REQUIRED field must be set and not empty', async t => {
  t.same(await errorsOf(await send('POST', '/v1/books', {})), ['book.title: is required'])
  t.same(await errorsOf(await send('POST', '/v1/books', { title: '' })), ['book.title: is required'])
  t.same(await errorsOf(await send('POST', '/v1/books', '')), ['book: is required'])
  t.same(await errorsOf(await send('POST', '/v1/books:import', { books: [] })), ['books: is required'])
  t.same(await errorsOf(await send('POST', '/v1/books:import', { books: [{}, { title: 'a' }], byId: { k: {} } })), [
    'books[0].title: is required',
    'byId[k].title: is required',
  ])
})

const UPDATES: [mask: string, body: object, errors: string[]][] = [
  ['', { isbn: '2' }, []],
  ['', { title: '' }, ['book.title: is required']],
  ['isbn', {}, []],
  ['isbn', { title: '' }, []],
  ['title', { isbn: '2' }, ['book.title: is required']],
  ['title', { title: 'Emma' }, []],
  ['*', { isbn: '2' }, ['book.title: is required']],
]

for (const [mask, body, errors] of UPDATES) {
  const query = mask === '' ? '' : `?updateMask=${mask}`
  t.test(`PATCH${query} with ${JSON.stringify(body)} requires the fields of the mask only`, async t => {
    const response = await send('PATCH', `/v1/books/1${query}`, body)
    t.equal(response.status, errors.length === 0 ? 200 : 400)
    t.same(await errorsOf(response), errors)
  })
}

t.test('the same holds for each update in a list', async t => {
  const requests = [
    { book: { isbn: '2', viewCount: 3 }, updateMask: 'isbn,viewCount' },
    { book: { title: 'Emma' }, updateMask: 'title' },
  ]
  t.equal((await send('POST', '/v1/books:update', { requests })).status, 200)
  t.same(received(), { requests: [{ book: { isbn: '2' }, updateMask: 'isbn' }, requests[1]] })

  const rejected = [{ book: { isbn: '2' }, updateMask: 'title' }, {}]
  t.same(await errorsOf(await send('POST', '/v1/books:update', { requests: rejected })), [
    'requests[0].book.title: is required',
    'requests[1].book: is required',
  ])
  const onlyOutput = [requests[1], { book: {}, updateMask: 'viewCount' }]
  t.same(await errorsOf(await send('POST', '/v1/books:update', { requests: onlyOutput })), [
    'requests[1].updateMask: names only fields that the service sets',
  ])
})

t.test('an IMMUTABLE field reaches the service, which alone knows the stored value', async t => {
  t.equal((await send('PATCH', '/v1/books/1?updateMask=isbn', { isbn: '2' })).status, 200)
  t.match(received(), { book: { isbn: '2' }, updateMask: 'isbn' })
})
