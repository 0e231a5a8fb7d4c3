import fc from 'fast-check'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildApiDocument } from '../../../../gateway/api-reference/api-document.ts'
import { textOfPattern } from '../../../../gateway/contract/examples/pattern-text.ts'
import { portablePattern } from '../../../../gateway/contract/portable-pattern.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { buildContract } from '../../../support/contract.ts'
import { checkExamples, type Document } from '../../../support/document-examples.ts'

/** Builds the document of a method for each of the given messages, which is its request and its response. */
function documentOf(...messages: string[]) {
  const rpcs = messages.map(
    (_, at) => `rpc Post${at}(Thing${at}) returns (Thing${at}) {
      option (google.api.http) = { post: "/v1/things${at}" body: "*" };
      option (edge.v1.policy) = { access: ACCESS_PUBLIC };
    }`,
  )
  const contract = buildContract({
    'x/v1/x.proto': `
      syntax = "proto3";
      package x.v1;
      import "buf/validate/validate.proto";
      import "edge/v1/options.proto";
      import "google/api/annotations.proto";
      import "google/api/field_behavior.proto";
      import "google/protobuf/duration.proto";
      import "google/protobuf/field_mask.proto";
      import "google/protobuf/timestamp.proto";
      service Things { ${rpcs.join('\n')} }
      enum Color { COLOR_UNSPECIFIED = 0; COLOR_OLD = 1 [deprecated = true]; COLOR_RED = 2; }
      message Part { string title = 1; Part part = 2; repeated Part parts = 3; }
      ${messages.map((fields, at) => `message Thing${at} {\n${fields} }`).join('\n')}`,
  })
  const routes = buildRouteTable([{ service: serviceOf(contract, 'x.v1.Things'), upstream: 'x' }])
  const invalid: string[] = []
  const document = buildApiDocument({
    routes,
    api: { title: 'T', version: '1' },
    limits: limitsSchema.parse(undefined),
    ownUpstreams: new Set(),
    publicUrl: 'https://x.example',
    bodyLimit: 1024,
    onInvalidExample: (name, reason) => invalid.push(`${name}: ${reason}`),
  }) as Document
  const { problems } = checkExamples(document, routes, () => contract)
  const bodies = messages.map((_, at) => {
    const body = document.paths[`/v1/things${at}`]?.['post']?.requestBody?.content['application/json']?.example
    return (body ?? {}) as Record<string, unknown>
  })
  return { body: bodies[0], bodies, invalid, problems }
}

const RULES = '(edge.v1.rules) ='
const FIELDS: { field: string; example: unknown }[] = [
  { field: 'string email = 1;', example: 'ada@example.com' },
  { field: 'string ownerName = 1;', example: 'Ada Lovelace' },
  { field: 'string account_id = 1;', example: 'account-1' },
  { field: `string thing_id = 1 [${RULES} { format: FORMAT_UUID }];`, example: /^[0-9a-f]{8}-/ },
  { field: `string x = 1 [${RULES} { format: FORMAT_URI }];`, example: 'https://example.com/' },
  { field: `string x = 1 [${RULES} { in: ["b", "a"] }];`, example: 'b' },
  { field: '// `read` or `write`.\nstring access = 1;', example: 'read' },
  { field: '// Such as `AB/12`.\nstring x = 1;', example: 'AB/12' },
  { field: '// `nextPageToken` of the last page.\nstring page_token = 1;', example: 'eyJhZnRlciI6NDJ9' },
  { field: `string x = 1 [${RULES} { pattern: "[A-Z]{3}-\\\\d{4}" }];`, example: /^[A-Z]{3}-\d{4}$/ },
  { field: `string title = 1 [${RULES} { min_length: 40 }];`, example: /^.{40,}$/ },
  { field: `string title = 1 [${RULES} { max_length: 3 }];`, example: /^.{1,3}$/ },
  { field: '// Default 50.\nint32 page_size = 1;', example: 50 },
  { field: `int32 count = 1 [${RULES} { min: 1000 }];`, example: 1000 },
  { field: `int64 count = 1 [${RULES} { max: -5 }];`, example: '-5' },
  { field: `double x = 1 [${RULES} { min: 0.2 max: 0.4 }];`, example: 0.4 },
  { field: 'bool dry_run = 1;', example: true },
  { field: 'bool deleted = 1;', example: false },
  { field: 'Color color = 1;', example: 'COLOR_RED' },
  { field: `bytes x = 1 [${RULES} { min_length: 20 }];`, example: /^.{28}$/ },
  { field: 'google.protobuf.Timestamp expires_at = 1;', example: '2026-12-24T09:30:00Z' },
  { field: 'google.protobuf.Duration x = 1;', example: '30s' },
  { field: 'Part part = 2; google.protobuf.FieldMask update_mask = 1;', example: 'title' },
  { field: `repeated string tags = 1 [${RULES} { min_items: 3 }];`, example: { length: 3 } },
  { field: `map<string, int32> scores = 1 [${RULES} { min_items: 2 }];`, example: { key: Number, key2: Number } },
  { field: 'oneof choice { string title = 1; string text = 2; }', example: 'Minutes of the meeting' },
]

t.test('the example of a field fits its name, type, comment and rules, and is valid', t => {
  const { bodies, problems } = documentOf(...FIELDS.map(({ field }) => field))
  t.same(problems, [])
  for (const [at, { field, example }] of FIELDS.entries()) {
    const body = bodies[at] ?? {}
    t.match(body[Object.keys(body).find(name => name !== 'part') ?? ''], example, field)
  }
  t.end()
})

/** Messages with rules of buf.validate, and the members that their example must have. `R` is the option. */
const VALIDATED: { fields: string; members: string[] }[] = [
  { fields: 'string f = 1 [R.string.email = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.hostname = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.ipv6 = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.tuuid = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.ip_prefix = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.host_and_port = true];', members: ['f'] },
  { fields: 'string f = 1 [R.string.pattern = "^[a-z]{2}-[0-9]+$"];', members: ['f'] },
  { fields: 'string f = 1 [R.string = { min_len: 70 }];', members: ['f'] },
  { fields: 'string f = 1 [R.string.const = "only"];', members: ['f'] },
  { fields: 'int64 f = 1 [R.int64 = { gt: 4000 lt: 5000 }];', members: ['f'] },
  { fields: 'uint64 f = 1 [R.uint64 = { in: [77] }];', members: ['f'] },
  { fields: 'double f = 1 [R.double = { gt: 0 lt: 0.3 }];', members: ['f'] },
  { fields: 'Color f = 1 [R.enum = { in: [1] }];', members: ['f'] },
  { fields: 'google.protobuf.Timestamp f = 1 [R.timestamp.gt_now = true];', members: ['f'] },
  { fields: 'google.protobuf.Timestamp f = 1 [R.timestamp.lt_now = true];', members: ['f'] },
  { fields: 'google.protobuf.Duration f = 1 [R.duration.gte = { seconds: 60 }];', members: ['f'] },
  { fields: 'repeated string f = 1 [R.repeated = { min_items: 2 unique: true }];', members: ['f'] },
  { fields: 'string f = 1 [R.cel = { id: "x" expression: "this.startsWith(\'x-\')" }];', members: ['f'] },
  {
    fields: `option (buf.validate.message).cel = { id: "order" expression: "this.from < this.until" };
      google.protobuf.Timestamp from = 1; google.protobuf.Timestamp until = 2;`,
    members: ['from', 'until'],
  },
  {
    fields: 'optional string f = 1 [R.cel = { id: "never" expression: "false" }]; optional string g = 2;',
    members: ['g'],
  },
  { fields: 'string f = 1 [(google.api.field_behavior) = OUTPUT_ONLY]; string g = 2;', members: ['g'] },
]

t.test('examples satisfy the rules of buf.validate, and leave a field out that no value satisfies', t => {
  const messages = VALIDATED.map(({ fields }) => fields.replaceAll(/\bR\b/g, '(buf.validate.field)'))
  const { bodies, problems } = documentOf(...messages)
  t.same(
    problems.filter(problem => !problem.includes('has no example')),
    [],
  )
  for (const [at, { fields, members }] of VALIDATED.entries()) t.same(Object.keys(bodies[at] ?? {}), members, fields)
  t.end()
})

t.test('a field that requires a very long value has no example', t => {
  const { body, problems } = documentOf(`
    string title = 1 [${RULES} { min_length: 2000000000 }];
    bytes data = 2 [${RULES} { min_length: 2000000000 }];
    repeated string tags = 3 [${RULES} { min_items: 2000000000 }];
    map<string, string> labels = 4 [${RULES} { min_items: 2000000000 }];
    string name = 6;`)
  t.match(body, { name: String })
  t.strictSame(Object.keys(body ?? {}), ['name'])
  t.same(problems, [])
  t.end()
})

t.test('a message of many messages has an example in bounded time', t => {
  const fields = (type: string) => Array.from({ length: 60 }, (_, at) => `${type} f${at} = ${at + 1};`).join('\n')
  const { body } = documentOf(`
    message C {} message B { ${fields('C')} } message A { ${fields('B')} }
    ${fields('A')}`)
  t.ok(body)
  t.end()
})

t.test('repeated repetitions have no text', async t => {
  t.equal(textOfPattern('(?:(?:(?:a{900}){900}){900}){900}', 1), undefined)
})

t.test('recursive messages end, and have no example of themselves', t => {
  const { body, problems } = documentOf('Part part = 1;')
  t.same(body, { part: { title: 'Minutes of the meeting', parts: [] } })
  t.same(problems, [])
  t.end()
})

t.test('examples of the contract are used if they are valid, else reported and replaced', t => {
  const given = documentOf(`
    option (edge.v1.message_example) = '{"title": "Dune", "pages": 412}';
    string title = 1; int32 pages = 2;`)
  t.same(given.body, { title: 'Dune', pages: 412 })

  const fields = documentOf(`
    string isbn = 1 [(edge.v1.example) = "9780441013593"];
    repeated string shelves = 2 [(edge.v1.example) = '["A1", "B7"]'];
    int32 pages = 3 [(edge.v1.example) = "412"];`)
  t.same(fields.body, { isbn: '9780441013593', shelves: ['A1', 'B7'], pages: 412 })
  t.same(fields.invalid, [])

  const invalid = documentOf(`
    int32 pages = 1 [(edge.v1.example) = "many"];
    string code = 2 [(edge.v1.example) = "toolong", (edge.v1.rules) = { max_length: 3 }];`)
  t.match(invalid.invalid, [/x\.v1\.Thing0\.pages: is not JSON/, /x\.v1\.Thing0\.code: code is longer than 3/])
  t.equal(invalid.body?.['pages'], 1)
  t.same(invalid.problems, [])
  t.end()
})

t.test('a text is found for every pattern that consists of classes, groups, alternatives and repetitions', t => {
  const atom = fc.constantFrom('a', '[A-Z]', '\\d', '\\w', '[^,]', '\\.', '.', '[a-f0-9]', '(?:ab|c)', '(x|y)')
  const piece = fc.tuple(atom, fc.constantFrom('', '*', '+', '?', '{3}', '{2,}', '{1,4}')).map(parts => parts.join(''))
  const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map(pieces => pieces.join(''))
  fc.assert(
    fc.property(pattern, fc.nat(5), (source, minimum) => {
      const portable = portablePattern(source) as string
      const text = textOfPattern(`^(?:${portable})$`, minimum)
      return text !== undefined && new RegExp(`^(?:${source})$`, 'v').test(text)
    }),
    { numRuns: 500 },
  )
  t.pass('500 patterns')
  t.equal(textOfPattern('^(?=a)b$', 1), undefined, 'look-ahead is not supported')
  t.end()
})
