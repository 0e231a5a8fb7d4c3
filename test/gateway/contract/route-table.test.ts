import t from 'tap'
import { AccessLevel, ContractError, readContract, serviceOf } from '#runtime/grpc/contract.ts'
import { buildRouteTable, type Route } from '../../../gateway/contract/route-table.ts'
import { buildContract } from '../../support/contract.ts'

const HEAD = `
  syntax = "proto3";
  package x.v1;
  import "edge/v1/options.proto";
  import "edge/v1/revocation.proto";
  import "google/api/annotations.proto";
`

const MESSAGES = `
  message Q {
    string id = 1;
    Nested nested = 2;
    repeated string tags = 3;
    map<string, string> labels = 4;
    string by_cookie = 5 [(edge.v1.cookie) = { name: "c" }];
    oneof choice { string chosen = 6; }
  }
  message Nested { string id = 1; int32 number = 2; }
  message R { string id = 1; Nested nested = 2; }
`

/** The routes of a service whose methods are given, or the boot's refusal of them. */
function routesOf(methods: string, messages = ''): readonly Route[] {
  const contract = buildContract({ 'x.proto': `${HEAD}${MESSAGES}${messages} service S { ${methods} }` })
  return buildRouteTable([{ service: serviceOf(contract, 'x.v1.S'), upstream: 'up' }])
}

function method(http: string, policy = 'access: ACCESS_PUBLIC', types = { input: 'Q', output: 'R' }): string {
  return `rpc M(${types.input}) returns (${types.output}) {
    option (google.api.http) = { ${http} };
    option (edge.v1.policy) = { ${policy} };
  }`
}

const ROUTES: { what: string; http: string; routes: string[] }[] = [
  { what: 'get', http: 'get: "/v1/{id}"', routes: ['GET /v1/{id} none'] },
  { what: 'delete', http: 'delete: "/v1/{id}"', routes: ['DELETE /v1/{id} none'] },
  { what: 'post with the message', http: 'post: "/v1" body: "*"', routes: ['POST /v1 message'] },
  { what: 'put with a field', http: 'put: "/v1/{id}" body: "nested"', routes: ['PUT /v1/{id} nested'] },
  { what: 'patch without a body', http: 'patch: "/v1/{id}"', routes: ['PATCH /v1/{id} none'] },
  {
    what: 'a custom method',
    http: 'custom: { kind: "PURGE" path: "/v1/{id}" } body: "*"',
    routes: ['PURGE /v1/{id} message'],
  },
  {
    what: 'more bindings',
    http: 'get: "/v1/{id}" additional_bindings { get: "/v2/{nested.id}" } additional_bindings { post: "/v1" body: "*" }',
    routes: ['GET /v1/{id} none', 'GET /v2/{nested.id} none', 'POST /v1 message'],
  },
  {
    what: 'a body beside a variable within its field',
    http: 'put: "/v1/{nested.id}" body: "nested"',
    routes: ['PUT /v1/{nested.id} nested'],
  },
  { what: 'a variable in a oneof', http: 'get: "/v1/{chosen}"', routes: ['GET /v1/{chosen} none'] },
]

for (const { what, http, routes } of ROUTES) {
  t.test(`serves ${what}`, async t => {
    t.same(
      routesOf(method(http)).map(({ httpMethod, template, body }) => {
        return `${httpMethod} ${template.source} ${body.kind === 'field' ? body.field.name : body.kind}`
      }),
      routes,
    )
  })
}

t.test('a route knows its method, its policy, its upstream and which field answers', async t => {
  const [route] = routesOf(method('get: "/v1/{id}" response_body: "nested"', 'access: ACCESS_ROLES roles: "admin"'))
  t.equal(route?.name, 'x.v1.S/M')
  t.equal(route?.rpcPath, '/x.v1.S/M')
  t.equal(route?.upstream, 'up')
  t.equal(route?.responseField?.name, 'nested')
  t.equal(route?.policy.access, AccessLevel.ROLES)
})

t.test('a method without an HTTP rule is not exposed, but has a policy all the same', async t => {
  t.same(routesOf('rpc M(Q) returns (R) { option (edge.v1.policy) = { access: ACCESS_SERVICE }; }'), [])
})

t.test('the same path with another verb or another HTTP method is another route', async t => {
  const routes = routesOf(
    ['get: "/v1/{id}"', 'delete: "/v1/{id}"', 'get: "/v1/{id}:peek"', 'get: "/v1/{id}:look"', 'get: "/v1/me"']
      .map((http, index) => method(http).replace('rpc M', `rpc M${index}`))
      .join('\n'),
  )
  t.equal(routes.length, 5)
})

const FAULTS: { what: string; methods: string; messages?: string; because: string }[] = [
  { what: 'no policy', methods: 'rpc M(Q) returns (R) {}', because: 'has no policy' },
  {
    what: 'no policy on a method with a path',
    methods: 'rpc M(Q) returns (R) { option (google.api.http) = { get: "/v1" }; }',
    because: 'has no policy',
  },
  { what: 'a policy without access', methods: method('get: "/v1"', 'success_status: 204'), because: 'has no policy' },
  {
    what: 'roles without ACCESS_ROLES',
    methods: method('get: "/v1"', 'access: ACCESS_USER roles: "admin"'),
    because: 'roles go with ACCESS_ROLES',
  },
  {
    what: 'ACCESS_ROLES without roles',
    methods: method('get: "/v1"', 'access: ACCESS_ROLES'),
    because: 'roles go with ACCESS_ROLES',
  },
  {
    what: 'a status that is no success',
    methods: method('get: "/v1"', 'access: ACCESS_PUBLIC success_status: 302'),
    because: 'success_status 302 is not a success',
  },
  {
    what: 'an internal method with a path',
    methods: method('get: "/v1"', 'access: ACCESS_INTERNAL'),
    because: 'a method for services has no HTTP rule',
  },
  {
    what: 'a service-only method with a path',
    methods: method('get: "/v1"', 'access: ACCESS_SERVICE'),
    because: 'a method for services has no HTTP rule',
  },
  {
    what: 'a method that takes a stream with a path',
    methods: method('get: "/v1"').replace('(', '(stream '),
    because: 'a method that takes a stream has no HTTP rule',
  },
  { what: 'a rule without a pattern', methods: method('body: "*"'), because: 'the HTTP rule has no pattern' },
  {
    what: 'bindings within bindings',
    methods: method('get: "/a" additional_bindings { get: "/b" additional_bindings { get: "/c" } }'),
    because: 'additional_bindings cannot be nested',
  },
  {
    what: 'a custom kind that is no method',
    methods: method('custom: { kind: "*" path: "/v1" }'),
    because: 'the custom pattern\'s kind "*" is not an HTTP method',
  },
  { what: 'a bad template', methods: method('get: "/v1/{id"'), because: 'expected "}"' },
  { what: 'an unknown field in the path', methods: method('get: "/v1/{nope}"'), because: 'x.v1.Q has no field nope' },
  {
    what: 'an unknown field of a field in the path',
    methods: method('get: "/v1/{nested.nope}"'),
    because: 'x.v1.Nested has no field nope',
  },
  { what: 'a field of a scalar in the path', methods: method('get: "/v1/{id.x}"'), because: 'id is not a message' },
  {
    what: 'a message as a path variable',
    methods: method('get: "/v1/{nested}"'),
    because: 'the path variable nested is not a single scalar',
  },
  {
    what: 'a list as a path variable',
    methods: method('get: "/v1/{tags}"'),
    because: 'the path variable tags is not a single scalar',
  },
  {
    what: 'a map as a path variable',
    methods: method('get: "/v1/{labels}"'),
    because: 'the path variable labels is not a single scalar',
  },
  { what: 'a variable twice', methods: method('get: "/v1/{id}/{id}"'), because: 'id is given twice' },
  {
    what: 'a cookie field in the path',
    methods: method('get: "/v1/{by_cookie}"'),
    because: 'x.v1.Q.by_cookie goes by cookie',
  },
  {
    what: 'a cookie field as the body',
    methods: method('post: "/v1" body: "by_cookie"'),
    because: 'x.v1.Q.by_cookie goes by cookie',
  },
  { what: 'a body on GET', methods: method('get: "/v1" body: "*"'), because: 'a body has no meaning in GET' },
  { what: 'a body on DELETE', methods: method('delete: "/v1" body: "*"'), because: 'a body has no meaning in DELETE' },
  {
    what: 'a body on HEAD',
    methods: method('custom: { kind: "HEAD" path: "/v1" } body: "*"'),
    because: 'a body has no meaning in HEAD',
  },
  { what: 'an unknown body field', methods: method('post: "/v1" body: "nope"'), because: 'x.v1.Q has no field nope' },
  {
    what: 'a field both in the path and as the body',
    methods: method('post: "/v1/{id}" body: "id"'),
    because: 'id is given by the path and by the body',
  },
  {
    what: 'an unknown response field',
    methods: method('get: "/v1" response_body: "nope"'),
    because: 'x.v1.R has no field nope',
  },
  {
    what: 'two bindings of one method that are the same',
    methods: method('get: "/v1/{id}" additional_bindings { get: "/v1/{nested.id}" }'),
    because: 'GET /v1/{nested.id} is taken by x.v1.S/M',
  },
  {
    what: 'a field of a message type that is named as what every object inherits, also further down',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Outer', output: 'R' }),
    messages: 'message Outer { Bad bad = 1; } message Bad { Bad has_own_property = 1; }',
    because: 'x.v1.Bad.has_own_property: every JavaScript object has something of this name',
  },
  {
    what: 'a cookie that is no string',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Bad', output: 'R' }),
    messages: 'message Bad { int32 n = 1 [(edge.v1.cookie) = { name: "c" }]; }',
    because: 'x.v1.Bad.n: a cookie is a string',
  },
  {
    what: 'a cookie without a name',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Bad', output: 'R' }),
    messages: 'message Bad { string n = 1 [(edge.v1.cookie) = { path: "/" }]; }',
    because: 'x.v1.Bad.n: the cookie has no name',
  },
  {
    what: 'a cookie whose max-age is nowhere',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { optional string n = 1 [(edge.v1.cookie) = { name: "c" max_age_field: "age" }]; }',
    because: 'x.v1.Bad.n: max_age_field age is not an int32 beside it',
  },
  {
    what: 'a cookie of a response that cannot be unset',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { string n = 1 [(edge.v1.cookie) = { name: "c" }]; }',
    because: 'x.v1.Bad.n: a cookie of a response is `optional`',
  },
  {
    what: 'a cookie that would leave as JSON, below a response',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Outer' }),
    messages: `message Outer { repeated Middle middle = 1; } message Middle { Inner inner = 1; }
      message Inner { optional string n = 1 [(edge.v1.cookie) = { name: "c" }]; }`,
    because: 'x.v1.Inner.n: a cookie is a field of the request or response itself',
  },
  {
    what: 'a revocation below a response',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Outer' }),
    messages: 'message Outer { Inner inner = 1; } message Inner { repeated edge.v1.Revocation gone = 1; }',
    because: 'x.v1.Inner.gone: a revocation is a field of the response itself',
  },
  {
    what: 'an inline oneof with a scalar',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { oneof o { option (edge.v1.inline) = true; R r = 1; string s = 2; } }',
    because: 'x.v1.Bad.o: an inline oneof is all of its message, and of messages',
  },
  {
    what: 'an inline oneof beside another field',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { oneof o { option (edge.v1.inline) = true; R r = 1; } string s = 2; }',
    because: 'x.v1.Bad.o: an inline oneof is all of its message, and of messages',
  },
]

for (const { what, methods, messages, because } of FAULTS) {
  t.test(`${what} stops the boot with the method's name`, async t => {
    const refusal = refusalOf(() => routesOf(methods, messages))
    t.ok(refusal.includes('\n  x.v1.S/M: '), refusal)
    t.match(refusal, because)
  })
}

t.test('overlapping routes of two methods stop the boot with both names', async t => {
  const methods = `${method('get: "/v1/{id}"')} ${method('get: "/v1/{nested.id}"').replace('rpc M', 'rpc N')}`
  t.match(
    refusalOf(() => routesOf(methods)),
    'x.v1.S/N: GET /v1/{nested.id} is taken by x.v1.S/M',
  )
})

t.test('all faults are told at once', async t => {
  const methods = ['get: "/a" body: "*"', 'get: "/b/{nope}"', 'get: "/ok"', 'get: "c"']
    .map((http, index) => method(http).replace('rpc M', `rpc M${index}`))
    .join('\n')
  const refusal = refusalOf(() => routesOf(methods))
  t.same(refusal.match(/x\.v1\.S\/M\d/g), ['x.v1.S/M0', 'x.v1.S/M1', 'x.v1.S/M3'])
})

t.test('our own contract can be served', async t => {
  const contract = readContract(new URL('../../../proto/gen/contract.binpb', import.meta.url))
  const services = ['auth.v1.AuthService', 'auth.v1.RevocationService', 'user.v1.UserService', 'user.v1.AccountService']
  const routes = buildRouteTable(services.map(name => ({ service: serviceOf(contract, name), upstream: 'x' })))
  t.ok(routes.some(route => route.name === 'auth.v1.AuthService/Login'))
  t.notOk(routes.some(route => /Revocation|Account/.test(route.name)))
})

function refusalOf(build: () => unknown): string {
  try {
    build()
  } catch (error) {
    if (error instanceof ContractError) return error.message
    throw error
  }
  return 'no refusal'
}
