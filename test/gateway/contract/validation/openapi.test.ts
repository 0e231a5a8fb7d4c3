/** Rules of protovalidate and field behaviors in the OpenAPI document. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../../gateway/contract/openapi/document.ts'
import { buildRouteTable, type Route } from '../../../../gateway/contract/route-table.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'
import { buildContract } from '../../../support/contract.ts'
import { buildService, methodSource } from '../../../support/service-contract.ts'

/** Fields by declaration, with values of which the document accepts exactly those that the gateway accepts. */
const EXACT: [declaration: string, values: unknown[]][] = [
  ['string f = 1 [R.string = { min_len: 2 max_len: 3 }];', ['', 'a', 'ab', 'abcd', null, undefined]],
  ['optional string f = 1 [R.string.min_len = 2];', ['', 'ab', null, undefined]],
  ['string f = 1 [R = { ignore: IGNORE_IF_ZERO_VALUE string: { min_len: 2 } }];', ['', 'a', 'ab', null, undefined]],
  ['string f = 1 [R.required = true];', ['', 'a', null, undefined]],
  ['string f = 1 [R.string.len = 2];', ['a', 'ab', 'abc', undefined]],
  ['string f = 1 [R.string.pattern = "^[a-z]*\\\\d$"];', ['', 'a1', '1', 'a', '١', undefined]],
  ['string f = 1 [R.string = { prefix: "a.b" suffix: "z" }];', ['a.bz', 'aXbz', 'a.b', undefined]],
  ['string f = 1 [R.string = { contains: "+" not_contains: "-" }];', ['+', '-+', '', undefined]],
  ['string f = 1 [R.string = { in: ["a", "b"] }];', ['a', 'c', '', undefined]],
  ['string f = 1 [R.string = { not_in: ["a"] }];', ['a', 'b', undefined]],
  ['string f = 1 [R.string.const = "x"];', ['x', 'y', undefined]],
  ['string f = 1 [R = { ignore: IGNORE_IF_ZERO_VALUE string: { in: ["a"] } }];', ['a', 'c', '', undefined]],
  ['string f = 1 [R.string.tuuid = true];', ['0123456789abcdef0123456789ABCDEF', 'x', '', undefined]],
  ['int32 f = 1 [R.int32 = { gte: 1 lt: 5 }];', [0, 1, 4, 5, null, undefined]],
  ['int32 f = 1 [R.int32 = { gt: -1 }];', [0, -1, -2, undefined]],
  ['int32 f = 1 [R.int32 = { lt: 1 gt: 5 }];', [0, 1, 3, 5, 6, undefined]],
  ['int32 f = 1 [R.int32 = { lte: 1 gte: 5 }];', [0, 1, 3, 5, 6, undefined]],
  ['int32 f = 1 [R = { ignore: IGNORE_IF_ZERO_VALUE int32: { in: [3, 4] } }];', [0, 3, 5, undefined]],
  ['int32 f = 1 [R = { required: true int32: { not_in: [3] } }];', [0, 3, 5, undefined]],
  ['int64 f = 1 [R.int64 = { in: [5, 6] }];', ['5', '7', undefined]],
  ['double f = 1 [R.double.lte = 0.5];', [0, 0.5, 0.6, undefined]],
  ['bool f = 1 [R.bool.const = true];', [true, false, undefined]],
  ['bool f = 1 [R.required = true];', [true, false, undefined]],
  ['Color f = 1 [R.enum = { in: [1] }];', ['RED', 'NONE', 'BLUE', undefined]],
  ['Color f = 1 [R.enum = { not_in: [2] }];', ['RED', 'NONE', 'BLUE', undefined]],
  [
    'repeated string f = 1 [R.repeated = { min_items: 1 max_items: 2 unique: true }];',
    [[], ['a'], ['a', 'a'], ['a', 'b', 'c'], null, undefined],
  ],
  ['repeated int32 f = 1 [R.repeated.items.int32.gt = 2];', [[], [3], [2], undefined]],
  [
    'repeated string f = 1 [R = { ignore: IGNORE_IF_ZERO_VALUE repeated: { items: { string: { min_len: 1 } } } }];',
    [[], [''], ['a'], undefined],
  ],
  [
    'map<string, string> f = 1 [R.map = { min_pairs: 1 max_pairs: 1 keys: { string: { min_len: 2 } } values: { string: { in: ["v"] } } }];',
    [{}, { ab: 'v' }, { a: 'v' }, { ab: 'w' }, { ab: 'v', cd: 'v' }, undefined],
  ],
  ['google.protobuf.StringValue f = 1 [R.string.min_len = 1];', ['', 'a', null, undefined]],
  ['google.protobuf.StringValue f = 1 [R.required = true];', ['', 'a', null, undefined]],
  ['bytes f = 1 [R.bytes = { min_len: 1 max_len: 3 }];', ['', 'YQ==', 'YWFh', 'YWFhYQ==', undefined]],
  ['oneof choice { option (buf.validate.oneof).required = true; string f = 1; int32 g = 2; }', ['a', undefined]],
  ['string f = 1 [(google.api.field_behavior) = REQUIRED];', ['', 'a', null, undefined]],
  ['repeated string f = 1 [(google.api.field_behavior) = REQUIRED];', [[], ['a'], null, undefined]],
  [
    'string f = 1 [(google.api.field_behavior) = OUTPUT_ONLY, R.string.min_len = 3];',
    ['', 'a', 'abc', null, undefined],
  ],
]

/** Fields whose rules JSON Schema cannot say, or only in part: the document accepts each valid value. */
const LOOSE: [declaration: string, values: unknown[]][] = [
  ['int64 f = 1 [R.int64.gt = 5];', ['5', '6', undefined]],
  ['string f = 1 [R.string.pattern = "(?i)^a$"];', ['a', 'A', 'b']],
  ['string f = 1 [R.string.max_bytes = 2];', ['é', 'aa', 'éé', undefined]],
  ['string f = 1 [R.cel_expression = "this != \'x\'"];', ['x', 'y', undefined]],
  ['google.protobuf.Duration f = 1 [R.duration.lt.seconds = 5];', ['4s', '5s', undefined]],
  ['string f = 1 [R.string.ip = true];', ['127.0.0.1', 'x']],
]

/** Rules from which an example follows that JSON Schema does not demand. */
const EXAMPLES: [declaration: string, example: unknown][] = [
  ['string f = 1 [R.string = { example: "Ada" min_len: 2 }];', 'Ada'],
  ['repeated int32 f = 1 [R.repeated.items.int32 = { example: [7, 8] }];', [7]],
  ['int64 f = 1 [R.int64 = { gt: 41 lt: 43 example: 42 }];', '42'],
  ['string f = 1 [R.string.ip = true];', '192.0.2.7'],
  ['string f = 1 [R.string.host_and_port = true];', 'example.com:8080'],
  ['Color f = 1 [R.enum = { in: [2] }];', 'BLUE'],
  ['bytes f = 1 [R.bytes = { example: "abc" }];', 'YWJj'],
]

const DECLARATIONS = [...EXACT, ...LOOSE, ...EXAMPLES].map(([declaration]) => declaration)
const contract = buildContract(
  Object.fromEntries(DECLARATIONS.map((declaration, index) => [`x${index}.proto`, source(declaration, index)])),
)

/** Returns a file of the package `x<index>.v1`. */
function source(declaration: string, index: number): string {
  return `
    syntax = "proto3";
    package x${index}.v1;
    import "buf/validate/validate.proto";
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    import "google/api/field_behavior.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/wrappers.proto";
    service S { ${methodSource('M', '(Q) returns (Q)', 'post: "/v1/q" body: "*"')} }
    enum Color { NONE = 0; RED = 1; BLUE = 2; }
    message Q { ${declaration.replaceAll(/\bR(?=[.= ]+[a-z{])/g, '(buf.validate.field)')} }`
}

interface Document {
  components: { schemas: Record<string, unknown> }
  paths: Record<
    string,
    Record<string, { requestBody: { content: { 'application/json': { schema: object; example?: unknown } } } }>
  >
}

function documentOf(routes: readonly Route[]): Document {
  return buildOpenApi(routes, { title: 'T', version: '1', publicUrl: 'https://x.example' }) as Document
}

/** Returns the codec and the documented body of the method with the declaration. */
function methodWith(declaration: string) {
  const service = serviceOf(contract, `x${DECLARATIONS.indexOf(declaration)}.v1.S`)
  const routes = buildRouteTable([{ service, upstream: 'x', registry: contract }])
  const document = documentOf(routes)
  const body = document.paths['/v1/q']?.['post']?.requestBody.content['application/json']
  return {
    document,
    schema: body?.schema,
    example: body?.example,
    codec: createReferenceCodec(routes[0] as Route, contract),
  }
}

function verdicts(declaration: string, values: readonly unknown[]) {
  const { document, schema, codec } = methodWith(declaration)
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', components: document.components })
  const isDocumented = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')))
  return values.map(value => {
    const body = JSON.stringify({ f: value })
    return { body, isDocumented: isDocumented(JSON.parse(body)), isAccepted: accepts(codec, body) }
  })
}

function accepts(codec: ReturnType<typeof createReferenceCodec>, body: string): boolean {
  try {
    codec.encode({ pathValues: [], query: '', body: Buffer.from(body), cookies: {} })
    return true
  } catch {
    return false
  }
}

for (const [declaration, values] of EXACT) {
  t.test(`a body with ${declaration} is valid by the document exactly if the gateway accepts it`, async t => {
    for (const { body, isDocumented, isAccepted } of verdicts(declaration, values)) {
      t.equal(isDocumented, isAccepted, body)
    }
  })
}

for (const [declaration, values] of LOOSE) {
  t.test(`a body with ${declaration} that the gateway accepts is valid by the document`, async t => {
    const all = verdicts(declaration, values)
    t.ok(all.some(({ isAccepted }) => isAccepted))
    t.ok(all.some(({ isAccepted }) => !isAccepted))
    for (const { body, isDocumented, isAccepted } of all) t.ok(isDocumented || !isAccepted, body)
  })
}

t.test('the gateway accepts the example of each body', async t => {
  for (const declaration of DECLARATIONS) {
    const { codec, example } = methodWith(declaration)
    if (example !== undefined)
      t.ok(accepts(codec, JSON.stringify(example)), `${declaration} ${JSON.stringify(example)}`)
  }
})

for (const [declaration, example] of EXAMPLES) {
  t.test(`the example of ${declaration} follows from its rules`, async t => {
    t.match(methodWith(declaration).example, { f: example })
  })
}

const library = buildService('lib.v1.LibraryService', {
  imports: ['buf/validate/validate.proto', 'google/api/field_behavior.proto', 'google/protobuf/field_mask.proto'],
  methods: [
    methodSource('CreateBook', '(Book) returns (Book)', 'post: "/v1/books" body: "*"'),
    methodSource('UpdateBook', '(UpdateBookRequest) returns (Book)', 'patch: "/v1/books/{book.name}" body: "book"'),
    methodSource('ReplaceBook', '(UpdateBookRequest) returns (Book)', 'put: "/v1/books" body: "*"'),
    methodSource('FindBook', '(Book) returns (Book)', 'get: "/v1/find"'),
  ],
  messages: `
    message UpdateBookRequest {
      Book book = 1 [(google.api.field_behavior) = REQUIRED];
      google.protobuf.FieldMask update_mask = 2;
    }
    message Book {
      option (buf.validate.message).cel = { id: "b" message: "the title differs from the name" expression: "this.title != this.name" };
      // The name.
      string name = 1 [(google.api.field_behavior) = IMMUTABLE];
      string title = 2 [(google.api.field_behavior) = REQUIRED];
      Audit audit = 3 [(google.api.field_behavior) = OUTPUT_ONLY];
      string note = 4 [(buf.validate.field).cel = { id: "n" message: "must not be x" expression: "this != 'x'" }];
    }
    message Audit { string by = 1; }
  `,
})
const document = documentOf(buildRouteTable([{ service: serviceOf(library.contract, library.service), upstream: 'x' }]))

t.test('OUTPUT_ONLY is readOnly, IMMUTABLE and messages of CEL are in the description', async t => {
  const { schemas } = document.components
  t.match(schemas['lib.v1.Book'], { properties: { audit: { readOnly: true } } })
  const create = document.paths['/v1/books']?.['post']?.requestBody.content['application/json'].schema
  t.match(create, {
    required: ['title'],
    properties: {
      name: { description: 'The name. Set when the resource is created, and never changed.' },
      audit: { readOnly: true, description: 'Set by the service; ignored in requests.' },
      note: { description: 'Rules: must not be x.' },
    },
  })
})

t.test('a request with an update mask may omit the REQUIRED fields of its resource', async t => {
  const { schemas } = document.components
  const patch = document.paths['/v1/books/{book_name}']?.['patch']?.requestBody.content['application/json'].schema
  t.notMatch(patch, { required: Array })
  const put = document.paths['/v1/books']?.['put']?.requestBody.content['application/json'].schema
  t.match(put, { required: ['book'], properties: { book: { $ref: '#/components/schemas/lib.v1.Book.Update' } } })
  t.match(schemas['lib.v1.Book.Update'], { description: 'Rules: the title differs from the name.' })
  t.notMatch(schemas['lib.v1.Book.Update'], { required: Array })
})

t.test('a query has no parameter for an OUTPUT_ONLY field', async t => {
  const operation = document.paths['/v1/find']?.['get'] as { parameters?: { name: string }[] } | undefined
  t.same(
    operation?.parameters?.map(({ name }) => name),
    ['name', 'title', 'note'],
  )
})
