import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../../gateway/contract/openapi/document.ts'
import { buildRouteTable, type Route } from '../../../../gateway/contract/route-table.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'
import { buildContract } from '../../../support/contract.ts'

const contract = buildContract({
  'x/v1/x.proto': `
    syntax = "proto3";
    package x.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    service Things {
      rpc Post(Thing) returns (Thing) {
        option (google.api.http) = { post: "/v1/things" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Put(Thing) returns (Thing) {
        option (google.api.http) = { put: "/v1/things/{nested.id}" body: "nested" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Get(Thing) returns (Thing) {
        option (google.api.http) = { get: "/v1/things" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Replace(Optional) returns (Thing) {
        option (google.api.http) = { put: "/v1/optional" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    enum Color { NONE = 0; RED = 1; }
    message Nested { string id = 1; string text = 2 [(edge.v1.rules) = { required: true }]; Nested child = 3; }
    message Optional { Nested nested = 1; }
    message Thing {
      string name = 1 [(edge.v1.rules) = { required: true }];
      string password = 2 [(edge.v1.rules) = { min_length: 8 max_length: 9 }];
      optional string nick = 3 [(edge.v1.rules) = { min_length: 2 }];
      string code = 4 [(edge.v1.rules) = { pattern: "[^\\\\p{Cc}]{2}" }];
      string kind = 5 [(edge.v1.rules) = { in: ["a", "b"] }];
      int32 size = 6 [(edge.v1.rules) = { min: 1 max: 200 }];
      int32 far = 7 [(edge.v1.rules) = { min: 5 }];
      int32 below = 8 [(edge.v1.rules) = { max: -5 }];
      int32 count = 9;
      double ratio = 10 [(edge.v1.rules) = { min: 0.5 }];
      optional int32 level = 11 [(edge.v1.rules) = { min: 1 }];
      repeated string tags = 12 [(edge.v1.rules) = { max_items: 2 min_length: 1 }];
      map<string, int32> scores = 13 [(edge.v1.rules) = { max_items: 1 }];
      Color color = 14;
      Nested nested = 15;
      google.protobuf.StringValue wrapped = 16;
      google.protobuf.Timestamp at = 17;
      google.protobuf.Struct free = 18;
      oneof choice { string first = 19; int32 second = 20; bool third = 21; }
      bool flag = 22;
      repeated int32 several = 23 [(edge.v1.rules) = { min_items: 2 }];
      map<string, int32> pairs = 24 [(edge.v1.rules) = { min_items: 1 }];
    }`,
})

interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
interface Operation {
  parameters: { name: string; in: string; required?: boolean; schema: Schema }[]
  requestBody: { required: boolean; content: { 'application/json': { schema: Schema } } }
}
type Schema = Record<string, unknown>

const routes = buildRouteTable([{ service: serviceOf(contract, 'x.v1.Things'), upstream: 'x' }])
const document = buildOpenApi(routes, { title: 'T', version: '1', publicUrl: 'https://x.example' }) as Document

/** Returns a validator of the request body of an operation, as a client would compile it. */
function bodyValidator(path: string, method: string): (body: unknown) => boolean {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', components: document.components })
  const schema = document.paths[path]?.[method]?.requestBody.content['application/json'].schema
  return ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')))
}

t.test('a request body is valid by the document exactly if the gateway accepts it', t => {
  const isDocumented = bodyValidator('/v1/things', 'post')
  const codec = createReferenceCodec(routes[0] as Route, contract)
  const members: Record<string, unknown[]> = {
    name: ['x', '', null, 5],
    password: ['', 'short', 'longenough', '12345678', null],
    nick: ['', 'a', 'ab', null],
    code: ['', 'a', 'ab', 'a\u0085', null],
    kind: ['a', '', 'c', null],
    size: [0, 1, 200, 201, -1, null],
    far: [0, 1, 4, 5, -1, null],
    below: [0, -1, -5, -6, 1, null],
    count: [0, -5, 1.5, true, null],
    ratio: [0, 0.4, 0.5, -1, null],
    level: [0, 1, null],
    tags: [[], ['a'], ['a', 'b', 'c'], [''], [null], null, 'a'],
    scores: [{}, { a: 1 }, { a: 1, b: 2 }, { a: null }, null],
    color: ['RED', 'BLUE', null],
    nested: [{}, { text: 'a' }, { text: '' }, { text: 'a', other: 1 }, { text: 'a', child: { text: 'b' } }, null],
    wrapped: ['a', null, 5],
    at: ['2026-01-01T00:00:00Z', null],
    free: [{ a: [1] }, null, []],
    first: ['a', null],
    flag: [true, false, null, 'yes'],
    several: [[], [1], [1, 2], null],
    pairs: [{}, { a: 1 }, null],
    unknown: [1],
  }
  for (const [name, values] of Object.entries(members)) {
    for (const value of values) {
      const body = { name: 'x', [name]: value }
      let isAccepted = true
      try {
        codec.encode({ pathValues: [], query: '', body: Buffer.from(JSON.stringify(body)), cookies: {} } as never)
      } catch {
        isAccepted = false
      }
      t.equal(isDocumented(body), isAccepted, JSON.stringify(body))
    }
  }
  t.notOk(isDocumented({ name: 'x', first: 'a', second: 1 }), 'two fields of a oneof')
  t.notOk(isDocumented({}), 'a required field is missing')
  t.end()
})

t.test('a request body is required exactly if one of its fields is', t => {
  t.equal(document.paths['/v1/things']?.['post']?.requestBody.required, true)
  t.equal(document.paths['/v1/optional']?.['put']?.requestBody.required, false)
  t.end()
})

t.test('a body that is a field omits what the path binds', t => {
  const isDocumented = bodyValidator('/v1/things/{nested_id}', 'put')
  t.ok(isDocumented({ text: 'a' }))
  t.notOk(isDocumented({ text: 'a', id: 'b' }))
  t.end()
})

t.test('query parameters are required where the field is, and reach into nested messages', t => {
  const { parameters = [] } = document.paths['/v1/things']?.['get'] ?? {}
  t.match(
    parameters.find(({ name }) => name === 'name'),
    { required: true, schema: { minLength: 1 } },
  )
  t.match(
    parameters.find(({ name }) => name === 'size'),
    { schema: { type: 'integer', minimum: 0, maximum: 200 } },
  )
  t.match(
    parameters.find(({ name }) => name === 'nested.text'),
    { in: 'query', schema: { type: 'string' } },
  )
  t.notOk(parameters.find(({ name }) => name === 'nested.text')?.required, 'its message is not required')
  t.notOk(parameters.some(({ name }) => ['free', 'scores', 'nested.child'].includes(name)))
  t.end()
})

t.test('a response always has the fields without presence, and may have members that the document does not name', t => {
  const schema = document.components.schemas['x.v1.Thing'] ?? {}
  t.same(schema['required'], [
    'name',
    'password',
    'code',
    'kind',
    'size',
    'far',
    'below',
    'count',
    'ratio',
    'tags',
    'scores',
    'color',
    'flag',
    'several',
    'pairs',
  ])
  t.notOk('additionalProperties' in schema)
  t.same((schema['properties'] as Schema)['name'], { type: 'string' })
  t.end()
})

t.test('types are those that generators read, and no example shows the bounds of int32', t => {
  const text = JSON.stringify(document)
  for (const foreign of ['2147483648', '["number","string"]', '\\\\p{']) t.notOk(text.includes(foreign), foreign)
  t.end()
})
