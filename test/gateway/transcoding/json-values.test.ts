/** JSON values of requests and responses that are easily lost, with both codecs. */
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { AnySchema, FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import t, { type Test } from 'tap'
import type { Responder } from '../../support/echo-upstream.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'

const service = buildService('data.v1.DataService', {
  imports: ['any', 'field_mask', 'struct', 'wrappers'].map(name => `google/protobuf/${name}.proto`),
  methods: [
    methodSource('Get', '(Data) returns (Data)', 'get: "/v1/data/{id}"'),
    methodSource('Put', '(Data) returns (Data)', 'put: "/v1/data/{id}" body: "*"'),
    methodSource(
      'Big',
      '(google.protobuf.Int64Value) returns (google.protobuf.Int64Value)',
      'post: "/v1/big" body: "*"',
    ),
    methodSource('BigField', '(Data) returns (Data)', 'post: "/v1/big-field" body: "big"'),
    methodSource('Follow', '(Data) returns (stream Data)', 'get: "/v1/data/{id}:follow"'),
  ],
  messages: `
    enum Size { SIZE_UNSPECIFIED = 0; SIZE_LARGE = 7; }
    message Data {
      string id = 1;
      double number = 2;
      float small = 3;
      repeated double numbers = 4;
      google.protobuf.Value value = 5;
      google.protobuf.DoubleValue wrapped = 6;
      map<string, float> named = 7;
      google.protobuf.Any any = 8;
      repeated google.protobuf.Any list = 9;
      map<string, google.protobuf.Any> map = 10;
      google.protobuf.FieldMask mask = 11;
      Size size = 12;
      repeated Size sizes = 13;
      Inner inner = 14;
      string dotted = 15 [json_name = "x.y"];
      int64 big = 16;
      repeated int64 bigs = 17;
      google.protobuf.Int64Value big_wrapped = 18;
    }
    message Inner { Size size = 1; string dotted = 2 [json_name = "a.b.c"]; Inner inner = 3; google.protobuf.Value value = 4; }
  `,
})
const Data = service.message('Data')
const data = (fields: Record<string, unknown>) => create(Data, fields)
const echo: Responder = ({ message }) => message
const start = (t: Test, respond: Responder = echo) => service.start(t, respond)

t.test('-0 keeps its sign in query, body, Value and response', async t => {
  const { call, send } = await start(t)
  const query = await (await call('/v1/data/a?number=-0&small=-0.0&numbers=-0&numbers=0&wrapped=-0e5')).text()
  t.match(query, /"number":-0,"small":-0,"numbers":\[-0,0\].*"wrapped":-0[,}]/)
  const body = '{"number":-0,"small":-0.0,"value":{"a":[-0,0]},"wrapped":-0,"named":{"n":-0},"numbers":[-0]}'
  const text = await (await send('PUT', '/v1/data/a', body)).text()
  t.match(text, /"number":-0,"small":-0,"numbers":\[-0\],"value":\{"a":\[-0,0\]\},"wrapped":-0,"named":\{"n":-0\}/)
  t.match(await (await send('PUT', '/v1/data/a', '{"value":-0}')).text(), /"value":-0[,}]/)
})

const unknown = create(AnySchema, { typeUrl: 'type.example.com/other.v1.Thing', value: Uint8Array.of(8, 150, 1) })
const UNKNOWN = { '@type': 'type.example.com/other.v1.Thing', value: 'CJYB' }
const pack = (schema: DescMessage, message: Message) =>
  create(AnySchema, { typeUrl: `x/${schema.typeName}`, value: toBinary(schema, message) })

t.test('an Any of an unknown type in a response is its @type and its bytes in base64', async t => {
  const known = pack(Data, data({ id: 'in', any: unknown, list: [unknown] }))
  const nested = pack(AnySchema, unknown)
  const empty = create(AnySchema, {})
  const { call } = await start(t, () =>
    data({ any: unknown, list: [known, nested, empty, unknown], map: { k: unknown, 'a.b': known } }),
  )
  const response = await call('/v1/data/a')
  t.equal(response.status, 200)
  const asJson = { '@type': 'x/data.v1.Data', id: 'in', any: UNKNOWN, list: [UNKNOWN] }
  t.match(await response.json(), {
    any: UNKNOWN,
    list: [asJson, { '@type': 'x/google.protobuf.Any', value: UNKNOWN }, {}, UNKNOWN],
    map: { k: UNKNOWN, 'a.b': asJson },
  })
})

t.test('a FieldMask in a response may contain paths that lowerCamelCase cannot express', async t => {
  const { call } = await start(t, () =>
    data({ mask: create(FieldMaskSchema, { paths: ['line_1', 'plain_name', 'X'] }) }),
  )
  t.match(await (await call('/v1/data/a')).json(), { mask: 'line_1,plainName,X' })
})

t.test('$alt=json;enum-encoding=int writes enum values as numbers', async t => {
  const { call } = await start(t, async function* ({ message }) {
    yield message
  })
  const unary = await start(t)
  const body = { size: 'SIZE_LARGE', sizes: [7, 0, 9], inner: {} }
  for (const name of ['$alt', '%24alt', '%24al%74']) {
    const parameter = `${name}=json;enum-encoding=int`
    const large = { size: 7, sizes: [7, 0], inner: { size: 0 } }
    for (const query of [parameter, parameter.replace(';', '%3B').replace('-', '%2D')]) {
      const target = `/v1/data/a?sizes=SIZE_LARGE&sizes=0&size=7&inner.size=0&${query}`
      t.match(await (await unary.call(target)).json(), large, target)
      t.match(JSON.parse(await (await call(target.replace('/a?', '/a:follow?'))).text()), large, target)
      const put = await unary.send('PUT', `/v1/data/a?${query}`, body)
      t.match(await put.json(), { ...large, sizes: [7, 0, 9] }, query)
    }
  }
  for (const query of ['', '?$alt=json']) {
    const named = { size: 'SIZE_LARGE', sizes: ['SIZE_LARGE', 'SIZE_UNSPECIFIED', 9] }
    t.match(await (await unary.send('PUT', `/v1/data/a${query}`, body)).json(), named)
  }
  for (const value of ['proto', 'media', 'json;enum-encoding=name', '']) {
    const rejected = await unary.call(`/v1/data/a?$alt=${value}`)
    t.equal(rejected.status, 400, value)
    t.match(await rejected.json(), { errors: [{ field: '$alt' }] })
  }
})

t.test('a field whose JSON name has dots is a query parameter under this name', async t => {
  const { call, upstream } = await start(t)
  for (const query of ['x.y=v&inner.inner.a.b.c=w', 'dotted=v&inner.inner.dotted=w']) {
    t.equal((await call(`/v1/data/a?${query}`)).status, 200, query)
    t.match(upstream.received.at(-1)?.message, { dotted: 'v', inner: { inner: { dotted: 'w' } } })
  }
  for (const name of ['x', 'y', 'x.y.z', 'inner.a.b', 'inner.a.b.c.d', '.x.y']) {
    const rejected = await call(`/v1/data/a?${name}=v`)
    t.equal(rejected.status, 400, name)
    t.match(await rejected.json(), { errors: [{ field: name, description: 'is not known' }] })
  }
})

t.test('a 64-bit integer is exact, quoted or not, with an exponent or a fraction of zeros', async t => {
  const { call, send } = await start(t)
  for (const [big, digits] of [
    ['9007199254740993', '9007199254740993'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['9223372036854775807', '9223372036854775807'],
    ['9007199254740993.0', '9007199254740993'],
    ['9.007199254740993e15', '9007199254740993'],
    ['1e3', '1000'],
    ['-0', '0'],
  ] as const) {
    for (const text of [big, `"${big}"`]) {
      for (const [body, expected] of [
        [`{"big": ${text}}`, { big: digits }],
        [`{"bigs": [${text}]}`, { bigs: [digits] }],
        [`{"bigWrapped": ${text}}`, { bigWrapped: digits }],
        [`{"any": {"@type": "x/data.v1.Data", "big": ${text}}}`, { any: { big: digits } }],
        [`{"any": {"@type": "x/google.protobuf.Int64Value", "value": ${text}}}`, { any: { value: digits } }],
      ] as const) {
        const response = await send('PUT', '/v1/data/a', body)
        t.equal(response.status, 200, body)
        t.match(await response.json(), expected, body)
      }
      t.equal(await (await send('POST', '/v1/big', text)).text(), `"${digits}"`, `the whole body is ${text}`)
      t.match(await (await send('POST', '/v1/big-field', text)).json(), { big: digits }, `the body is ${text}`)
    }
    t.match(await (await call(`/v1/data/a?big=${big}`)).json(), { big: digits })
  }
  for (const big of [
    '9223372036854775808',
    '9007199254740993.5',
    '1e400',
    '"9223372036854775808"',
    '"1.5"',
    '"1e-1"',
  ]) {
    for (const [path, body, field] of [
      ['/v1/data/a', `{"big": ${big}}`, 'big'],
      ['/v1/big', big, 'body'],
      ['/v1/big-field', big, 'big'],
    ] as const) {
      const response = await send(path === '/v1/data/a' ? 'PUT' : 'POST', path, body)
      t.equal(response.status, 400, `${path} ${body}`)
      t.match(await response.json(), { errors: [{ field }] })
    }
  }
  for (const text of ['""', '"0x10"', '" 1"', '"+1"', '"1n"', 'true'])
    t.equal((await send('PUT', '/v1/data/a', `{"big":${text}}`)).status, 400, text)
})

t.test('a query parameter cannot name a field inside a message whose JSON has no fields', async t => {
  const { call, upstream } = await start(t)
  for (const name of [
    'value.stringValue',
    'value.number_value',
    'wrapped.value',
    'any.typeUrl',
    'inner.value.boolValue',
  ]) {
    const rejected = await call(`/v1/data/a?${name}=1`)
    t.equal(rejected.status, 400, name)
    t.match(await rejected.json(), { errors: [{ description: 'cannot be given in the query' }] }, name)
  }
  t.equal(upstream.received.length, 0)
})

const legacy = buildService('old.v1.OldService', {
  edition: '2023',
  methods: [methodSource('Put', '(Old) returns (Old)', 'put: "/v1/old/{id}" body: "*"')],
  messages: `
    message Old {
      string id = 1;
      string name = 2 [features.field_presence = LEGACY_REQUIRED];
      repeated Part parts_of = 3;
    }
    message Part { int32 some_count = 1 [features.field_presence = LEGACY_REQUIRED]; }
  `,
})
const Old = legacy.message('Old')

t.test('a missing required field of an edition or of proto2 is a violation with its name', async t => {
  const { send, upstream } = await legacy.start(t, echo)
  for (const [body, ...fields] of [
    [{}, 'name'],
    [undefined, 'name'],
    [{ name: null, partsOf: [{ someCount: 0 }, {}] }, 'name', 'partsOf[1].someCount'],
  ] as const) {
    const rejected = await send('PUT', '/v1/old/a', body)
    t.equal(rejected.status, 400, JSON.stringify(body))
    t.match(await rejected.json(), { errors: fields.map(field => ({ field, description: 'is required' })) })
  }
  t.equal(upstream.received.length, 0)
  t.equal((await send('PUT', '/v1/old/a', { name: '', partsOf: [{ someCount: 0 }] })).status, 200)
  t.ok(fromBinary(Old, toBinary(Old, upstream.received[0]?.message as Message)))
})
