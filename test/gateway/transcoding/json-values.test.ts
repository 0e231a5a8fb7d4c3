/** JSON values of requests and responses that are easily lost, with both codecs. */
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { AnySchema, FieldMaskSchema, ValueSchema } from '@bufbuild/protobuf/wkt'
import t, { type Test } from 'tap'
import type { Responder } from '../../support/echo-upstream.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'

const service = buildService('data.v1.DataService', {
  imports: ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'].map(
    name => `google/protobuf/${name}.proto`,
  ),
  methods: [
    methodSource('Get', '(Data) returns (Data)', 'get: "/v1/data/{id}"'),
    methodSource('Put', '(Data) returns (Data)', 'put: "/v1/data/{id}" body: "*"'),
    methodSource(
      'Big',
      '(google.protobuf.Int64Value) returns (google.protobuf.Int64Value)',
      'post: "/v1/big" body: "*"',
    ),
    methodSource('BigField', '(Data) returns (Data)', 'post: "/v1/big-field" body: "big"'),
    methodSource('Choose', '(Choice) returns (Choice)', 'put: "/v1/choices/{id}" body: "*"'),
    methodSource('GetPrototype', '(Prototype) returns (Prototype)', 'get: "/v1/prototypes/{id}"'),
    methodSource('PutPrototype', '(Prototype) returns (Prototype)', 'put: "/v1/prototypes/{id}" body: "*"'),
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
      google.protobuf.Struct struct = 19;
      google.protobuf.ListValue values = 20;
      google.protobuf.Timestamp time = 21;
      repeated google.protobuf.Duration spans = 22;
      map<string, google.protobuf.Timestamp> times = 23;
    }
    message Inner { Size size = 1; string dotted = 2 [json_name = "a.b.c"]; Inner inner = 3; google.protobuf.Value value = 4; }
    message Choice {
      string id = 1;
      oneof choice {
        string text = 2;
        Inner inner = 3;
        Size size = 4;
        google.protobuf.Value value = 5;
        google.protobuf.NullValue nothing = 6;
        google.protobuf.Int64Value wrapped = 7;
      }
      Choice next = 8;
      google.protobuf.Any any = 9;
    }
    message Prototype {
      string id = 1;
      string text = 2 [json_name = "__proto__"];
      Prototype next = 3;
      PrototypeList list = 4;
      PrototypeParent parent = 5;
    }
    message PrototypeList { repeated string texts = 1 [json_name = "__proto__"]; }
    message PrototypeParent { Prototype child = 1 [json_name = "__proto__"]; }
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

const number = (value: number) => ({ kind: { case: 'numberValue', value } })
const listOf = (...values: unknown[]) => ({ kind: { case: 'listValue', value: { values } } })
const structOf = (fields: Record<string, unknown>) => ({ kind: { case: 'structValue', value: { fields } } })
const UNSET = { kind: { case: undefined } }

t.test('an unset google.protobuf.Value in a response is null', async t => {
  const packed = pack(ValueSchema, create(ValueSchema, listOf(UNSET, number(1)) as never))
  for (const [fields, expected] of [
    [{ value: {} }, { value: null }],
    [{ value: listOf(UNSET, structOf({ a: UNSET, b: number(2) })) }, { value: [null, { a: null, b: 2 }] }],
    [{ values: { values: [UNSET, number(1)] } }, { values: [null, 1] }],
    [{ struct: { a: null } }, { struct: { a: null } }],
    [{ inner: { value: {} } }, { inner: { value: null } }],
    [{ any: packed }, { any: { '@type': 'x/google.protobuf.Value', value: [null, 1] } }],
    [
      { any: packed, list: [unknown] },
      { any: { value: [null, 1] }, list: [UNKNOWN] },
    ],
  ] as const) {
    const { call } = await start(t, () => data(fields))
    const response = await call('/v1/data/a')
    t.equal(response.status, 200, JSON.stringify(expected))
    t.match(await response.json(), expected)
  }
})

t.test('a value that ProtoJSON forbids is 500, and the log names the field and the value', async t => {
  for (const [fields, field, value] of [
    [{ value: number(Number.NaN) }, 'value', 'NaN'],
    [{ struct: { a: { b: [1, Number.POSITIVE_INFINITY] } } }, 'struct.a.b[1]', 'Infinity'],
    [{ values: { values: [number(Number.NEGATIVE_INFINITY)] } }, 'values[0]', '-Infinity'],
    [{ time: { seconds: 253402300800n } }, 'time', '253402300800 seconds'],
    [{ time: { nanos: -1 } }, 'time', '-1 nanos'],
    [{ times: { k: { seconds: -62135596801n } } }, 'times[k]', '-62135596801 seconds'],
    [{ spans: [{}, { seconds: 315576000001n }] }, 'spans[1]', '315576000001 seconds'],
    [{ spans: [{ nanos: 1_000_000_000 }] }, 'spans[0]', '1000000000 nanos'],
    [{ spans: [{ seconds: 1n, nanos: -1 }] }, 'spans[0]', '1 seconds and -1 nanos'],
    [{ any: pack(Data, data({ time: { nanos: -1 } })) }, 'any.time', '-1 nanos'],
    [{ any: pack(ValueSchema, create(ValueSchema, number(Number.NaN) as never)) }, 'any.value', 'NaN'],
  ] as const) {
    const { call, state } = await start(t, () => data(fields))
    t.equal((await call('/v1/data/a')).status, 500, field)
    const errors = state.lines.filter(line => line['level'] === 50).map(line => JSON.stringify(line))
    t.equal(errors.length, 1)
    t.match(errors[0], `Field ${field} of a response`)
    t.match(errors[0], value)
  }
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
  for (const text of ['""', '"0x10"', '" 1"', '"+1"', '"1n"', 'true']) {
    const type = (name: string) => `"@type":"x/${name}"`
    const inAny = `{${type('data.v1.Data')},"bigs":[1,${text}]}`
    for (const [body, field] of [
      [`{"big":${text}}`, 'big'],
      [`{"any":{${type('data.v1.Data')},"big":${text}}}`, 'any.big'],
      [`{"any":{${type('google.protobuf.Int64Value')},"value":${text}}}`, 'any.value'],
      [`{"list":[{${type('google.protobuf.Any')},"value":${inAny}}]}`, 'list[0].value.bigs[1]'],
    ] as const) {
      const rejected = await send('PUT', '/v1/data/a', body)
      t.equal(rejected.status, 400, body)
      t.match(await rejected.json(), { errors: [{ field, description: 'must be a 64-bit integer' }] }, body)
    }
  }
})

t.test('the content of an Any is checked as any message is', async t => {
  const { send, upstream } = await start(t)
  for (const [type, content, field] of [
    ['data.v1.Data', { number: '0x10' }, 'number'],
    ['data.v1.Data', { time: '2026-02-30T00:00:00Z' }, 'time'],
    ['data.v1.Data', { x: 1 }, 'x'],
    ['data.v1.Data', { inner: { y: 1 } }, 'inner.y'],
    ['google.protobuf.Duration', { value: '1sec' }, 'value'],
    ['google.protobuf.Timestamp', { value: '2026-01-01T24:00:00Z' }, 'value'],
    ['google.protobuf.Duration', { value: '1s', other: 1 }, 'other'],
    ['google.protobuf.Empty', { value: { x: 1 } }, 'value'],
    ['google.protobuf.Empty', { value: [] }, 'value'],
    ['google.protobuf.Empty', { x: 1 }, 'x'],
  ] as const) {
    const rejected = await send('PUT', '/v1/data/a', { any: { '@type': `x/${type}`, ...content } })
    t.equal(rejected.status, 400, `${type} ${JSON.stringify(content)}`)
    t.match(await rejected.json(), { errors: [{ field: `any.${field}` }] })
  }
  t.equal(upstream.received.length, 0)
  for (const content of [{ value: {} }, {}]) {
    const any = { '@type': 'x/google.protobuf.Empty', ...content }
    const accepted = await send('PUT', '/v1/data/a', { any, list: [{ '@type': 'x/google.protobuf.Any', value: any }] })
    t.equal(accepted.status, 200, JSON.stringify(content))
    t.match(await accepted.json(), { any: { '@type': 'type.googleapis.com/google.protobuf.Empty' } })
  }
})

t.test('null for a member of a oneof means unset, except for Value and NullValue', async t => {
  const { send } = await start(t)
  for (const [body, expected] of [
    [{ text: 'a', inner: null }, { text: 'a' }],
    [{ inner: null, text: 'a' }, { text: 'a' }],
    [{ text: null, inner: { dotted: 'b' }, size: null, wrapped: null }, { inner: { 'a.b.c': 'b' } }],
    [{ size: 'SIZE_LARGE', wrapped: null, inner: null }, { size: 'SIZE_LARGE' }],
    [{ value: null, inner: null, text: null }, { value: null }],
    [{ nothing: null, inner: null }, { nothing: null }],
    [{ next: { next: { text: 'a', inner: null } } }, { next: { next: { text: 'a' } } }],
    [{ any: { '@type': 'x/data.v1.Choice', text: 'a', inner: null } }, { any: { text: 'a' } }],
  ] as const) {
    const response = await send('PUT', '/v1/choices/a', body)
    t.equal(response.status, 200, JSON.stringify(body))
    const { id, ...rest } = (await response.json()) as Record<string, unknown>
    t.equal(id, 'a')
    t.match(rest, expected)
    if (!('next' in expected || 'any' in expected)) t.same(Object.keys(rest), Object.keys(expected))
  }
  for (const body of [
    { text: 'a', value: null },
    { text: 'a', nothing: null },
    { value: null, nothing: null },
    { text: 'a', inner: {} },
    { any: { '@type': 'x/data.v1.Choice', text: 'a', value: null } },
  ]) {
    t.equal((await send('PUT', '/v1/choices/a', body)).status, 400, JSON.stringify(body))
  }
})

t.test('a field whose JSON name is __proto__ reaches the upstream from query and body', async t => {
  const { call, send, upstream } = await start(t)
  for (const query of ['', 'next.', 'next.next.', 'parent.__proto__.', 'parent.child.next.']) {
    const parameters = `${query}__proto__=a&${query}list.__proto__=b&${query}list.__proto__=c`
    t.equal((await call(`/v1/prototypes/p?${parameters}`)).status, 200, parameters)
    const names = query.replaceAll('__proto__', 'child').split('.').slice(0, -1)
    const place = names.reduce(
      (message, name) => (message as Record<string, unknown>)[name],
      upstream.received.at(-1)?.message as unknown,
    )
    t.match(place, { text: 'a', list: { texts: ['b', 'c'] } })
    const twice = await call(`/v1/prototypes/p?${query}__proto__=a&${query}text=b`)
    t.equal(twice.status, 400)
  }
  const body = '{"__proto__":"a","next":{"__proto__":"b"},"list":{"__proto__":["c"]}}'
  const response = await send('PUT', '/v1/prototypes/p', body)
  t.equal(response.status, 200)
  t.match(upstream.received.at(-1)?.message, { text: 'a', next: { text: 'b' }, list: { texts: ['c'] } })
  const wrong = await send('PUT', '/v1/prototypes/p', '{"next":{"__proto__":1}}')
  t.match(await wrong.json(), { errors: [{ field: 'next.__proto__', description: 'must be a string' }] })
})

t.test('a duration out of range is rejected with the range', async t => {
  const { send } = await start(t)
  const description = 'must be from -315576000000s to 315576000000s inclusive'
  for (const [body, field] of [
    [{ spans: ['1s', '315576000001s'] }, 'spans[1]'],
    [{ any: { '@type': 'x/google.protobuf.Duration', value: '-315576000001s' } }, 'any'],
  ] as const) {
    const rejected = await send('PUT', '/v1/data/a', body)
    t.equal(rejected.status, 400)
    t.match(await rejected.json(), { errors: [{ field, description }] })
  }
  t.equal((await send('PUT', '/v1/data/a', { spans: ['315576000000s', '-315576000000s'] })).status, 200)
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
