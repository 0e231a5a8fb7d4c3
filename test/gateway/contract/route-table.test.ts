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
  import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";
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

/** Builds the route table of a service with the given methods. @throws ContractError as at boot. */
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

const ROUTES: { http: string; routes: string[] }[] = [
  { http: 'get: "/v1/{id}"', routes: ['GET /v1/{id} none'] },
  { http: 'delete: "/v1/{id}"', routes: ['DELETE /v1/{id} none'] },
  { http: 'post: "/v1" body: "*"', routes: ['POST /v1 message'] },
  { http: 'put: "/v1/{id}" body: "nested"', routes: ['PUT /v1/{id} nested'] },
  { http: 'patch: "/v1/{id}"', routes: ['PATCH /v1/{id} none'] },
  {
    http: 'custom: { kind: "PURGE" path: "/v1/{id}" } body: "*"',
    routes: ['PURGE /v1/{id} message'],
  },
  {
    http: 'get: "/v1/{id}" additional_bindings { get: "/v2/{nested.id}" } additional_bindings { post: "/v1" body: "*" }',
    routes: ['GET /v1/{id} none', 'GET /v2/{nested.id} none', 'POST /v1 message'],
  },
  {
    http: 'put: "/v1/{nested.id}" body: "nested"',
    routes: ['PUT /v1/{nested.id} nested'],
  },
  { http: 'get: "/v1/{chosen}"', routes: ['GET /v1/{chosen} none'] },
]

for (const { http, routes } of ROUTES) {
  t.test(`the HTTP rule { ${http} } yields ${routes.join(', ')}`, async t => {
    t.same(
      routesOf(method(http)).map(({ httpMethod, template, body }) => {
        return `${httpMethod} ${template.source} ${body.kind === 'field' ? body.field.name : body.kind}`
      }),
      routes,
    )
  })
}

t.test('a route contains its RPC, policy, upstream and response field', async t => {
  const [route] = routesOf(method('get: "/v1/{id}" response_body: "nested"', 'access: ACCESS_ROLES roles: "admin"'))
  t.equal(route?.name, 'x.v1.S/M')
  t.equal(route?.rpcPath, '/x.v1.S/M')
  t.equal(route?.upstream, 'up')
  t.equal(route?.responseField?.name, 'nested')
  t.equal(route?.policy.access, AccessLevel.ROLES)
})

t.test('a method without an HTTP rule has no route, and its policy is still checked', async t => {
  t.same(routesOf('rpc M(Q) returns (R) {}'), [])
  t.same(routesOf('rpc M(Q) returns (R) { option (edge.v1.policy) = { access: ACCESS_SERVICE }; }'), [])
  t.throws(
    () => routesOf('rpc M(Q) returns (R) { option (edge.v1.policy) = { access: ACCESS_ROLES }; }'),
    /x\.v1\.S\/M: roles require ACCESS_ROLES/,
  )
})

t.test('routes with equal paths but different verbs or HTTP methods do not conflict', async t => {
  const routes = routesOf(
    ['get: "/v1/{id}"', 'delete: "/v1/{id}"', 'get: "/v1/{id}:peek"', 'get: "/v1/{id}:look"', 'get: "/v1/me"']
      .map((http, index) => method(http).replace('rpc M', `rpc M${index}`))
      .join('\n'),
  )
  t.equal(routes.length, 5)
})

const ERRORS: { fault: string; methods: string; messages?: string; message: string }[] = [
  {
    fault: 'no policy on a method with an HTTP rule',
    methods: 'rpc M(Q) returns (R) { option (google.api.http) = { get: "/v1" }; }',
    message: 'has no policy',
  },
  { fault: 'a policy without access', methods: method('get: "/v1"', 'success_status: 204'), message: 'has no policy' },
  {
    fault: 'roles without ACCESS_ROLES',
    methods: method('get: "/v1"', 'access: ACCESS_USER roles: "admin"'),
    message: 'roles require ACCESS_ROLES',
  },
  {
    fault: 'ACCESS_ROLES without roles',
    methods: method('get: "/v1"', 'access: ACCESS_ROLES'),
    message: 'roles require ACCESS_ROLES',
  },
  {
    fault: 'tolerate_invalid_token without ACCESS_OPTIONAL',
    methods: method('get: "/v1"', 'access: ACCESS_USER tolerate_invalid_token: true'),
    message: 'tolerate_invalid_token requires ACCESS_OPTIONAL',
  },
  {
    fault: 'a negative timeout',
    methods: method('get: "/v1"', 'access: ACCESS_USER timeout: { seconds: -1 }'),
    message: 'its timeout is not positive',
  },
  {
    fault: 'a success_status other than 2xx',
    methods: method('get: "/v1"', 'access: ACCESS_PUBLIC success_status: 302'),
    message: 'success_status 302 is not a 2xx status',
  },
  {
    fault: 'an internal method with an HTTP rule',
    methods: method('get: "/v1"', 'access: ACCESS_INTERNAL'),
    message: 'an internal or service method cannot have an HTTP rule',
  },
  {
    fault: 'a service method with an HTTP rule',
    methods: method('get: "/v1"', 'access: ACCESS_SERVICE'),
    message: 'an internal or service method cannot have an HTTP rule',
  },
  { fault: 'a rule without a pattern', methods: method('body: "*"'), message: 'the HTTP rule has no pattern' },
  {
    fault: 'nested additional bindings',
    methods: method('get: "/a" additional_bindings { get: "/b" additional_bindings { get: "/c" } }'),
    message: 'additional_bindings cannot be nested',
  },
  {
    fault: 'a custom kind that is not a token',
    methods: method('custom: { kind: "A/B" path: "/v1" }'),
    message: 'the custom pattern\'s kind "A/B" is not a token',
  },
  { fault: 'an invalid path template', methods: method('get: "/v1/{id"'), message: 'expected "}"' },
  { fault: 'an unknown field in the path', methods: method('get: "/v1/{nope}"'), message: 'x.v1.Q has no field nope' },
  {
    fault: 'an unknown nested field in the path',
    methods: method('get: "/v1/{nested.nope}"'),
    message: 'x.v1.Nested has no field nope',
  },
  {
    fault: 'a nested field of a scalar in the path',
    methods: method('get: "/v1/{id.x}"'),
    message: 'id is not a message',
  },
  {
    fault: 'a message as a path variable',
    methods: method('get: "/v1/{nested}"'),
    message: 'the path variable nested is not a singular scalar',
  },
  {
    fault: 'a list as a path variable',
    methods: method('get: "/v1/{tags}"'),
    message: 'the path variable tags is not a singular scalar',
  },
  {
    fault: 'a map as a path variable',
    methods: method('get: "/v1/{labels}"'),
    message: 'the path variable labels is not a singular scalar',
  },
  ...[
    ['value', 'StringValue', 'value'],
    ['time', 'Timestamp', 'seconds'],
    ['any', 'Value', 'string_value'],
  ].map(([field, type, name]) => ({
    fault: `a field of google.protobuf.${type} in the path`,
    methods: method(`get: "/v1/{${field}.${name}}"`, undefined, { input: 'Special', output: 'R' }),
    messages: `message Special { google.protobuf.${type} ${field} = 1; }`,
    message: `${field}.${name}: the JSON of google.protobuf.${type} has no fields`,
  })),
  { fault: 'the same path variable twice', methods: method('get: "/v1/{id}/{id}"'), message: 'id is given twice' },
  {
    fault: 'a cookie field in the path',
    methods: method('get: "/v1/{by_cookie}"'),
    message: 'x.v1.Q.by_cookie is a cookie field',
  },
  {
    fault: 'a cookie field as the body',
    methods: method('post: "/v1" body: "by_cookie"'),
    message: 'x.v1.Q.by_cookie is a cookie field',
  },
  { fault: 'a body on GET', methods: method('get: "/v1" body: "*"'), message: 'a body has no defined meaning in GET' },
  {
    fault: 'a body on TRACE',
    methods: method('custom: { kind: "TRACE" path: "/v1" } body: "*"'),
    message: 'a body has no defined meaning in TRACE',
  },
  {
    fault: 'a body on HEAD',
    methods: method('custom: { kind: "HEAD" path: "/v1" } body: "*"'),
    message: 'a body has no defined meaning in HEAD',
  },
  { fault: 'an unknown body field', methods: method('post: "/v1" body: "nope"'), message: 'x.v1.Q has no field nope' },
  {
    fault: 'a field both in the path and as the body',
    methods: method('post: "/v1/{id}" body: "id"'),
    message: 'id is given by the path and by the body',
  },
  {
    fault: 'an unknown response field',
    methods: method('get: "/v1" response_body: "nope"'),
    message: 'x.v1.R has no field nope',
  },
  {
    fault: 'two equal bindings of one method',
    methods: method('get: "/v1/{id}" additional_bindings { get: "/v1/{nested.id}" }'),
    message: 'GET /v1/{nested.id} is already bound to x.v1.S/M',
  },
  {
    fault: 'a nested message field with a name that JavaScript objects inherit',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Outer', output: 'R' }),
    messages: 'message Outer { Bad bad = 1; } message Bad { Bad has_own_property = 1; }',
    message: 'x.v1.Bad.has_own_property: every JavaScript object has a property of this name',
  },
  {
    fault: 'a cookie field that is not a string',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Bad', output: 'R' }),
    messages: 'message Bad { int32 n = 1 [(edge.v1.cookie) = { name: "c" }]; }',
    message: 'x.v1.Bad.n: a cookie field must be a string',
  },
  {
    fault: 'a cookie without a name',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Bad', output: 'R' }),
    messages: 'message Bad { string n = 1 [(edge.v1.cookie) = { path: "/" }]; }',
    message: 'x.v1.Bad.n: the cookie has no name',
  },
  {
    fault: 'a cookie with an unknown max_age_field',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { optional string n = 1 [(edge.v1.cookie) = { name: "c" max_age_field: "age" }]; }',
    message: 'x.v1.Bad.n: max_age_field age is not an int32 field of the same message',
  },
  {
    fault: 'a cookie field of a response without presence',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { string n = 1 [(edge.v1.cookie) = { name: "c" }]; }',
    message: 'x.v1.Bad.n: a cookie field of a response must be `optional`',
  },
  {
    fault: 'a cookie field in a message nested in the response',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Outer' }),
    messages: `message Outer { repeated Middle middle = 1; } message Middle { Inner inner = 1; }
      message Inner { optional string n = 1 [(edge.v1.cookie) = { name: "c" }]; }`,
    message: 'x.v1.Inner.n: a cookie must be a direct field of request or response',
  },
  {
    fault: 'a revocation in a message nested in the response',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Outer' }),
    messages: 'message Outer { Inner inner = 1; } message Inner { repeated edge.v1.Revocation gone = 1; }',
    message: 'x.v1.Inner.gone: a revocation must be a direct field of the response',
  },
  {
    fault: 'an inline oneof with a scalar',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { oneof o { option (edge.v1.inline) = true; R r = 1; string s = 2; } }',
    message: 'x.v1.Bad.o: an inline oneof must contain all fields of its message, and only messages',
  },
  {
    fault: 'an inline oneof beside another field',
    methods: method('post: "/v1" body: "*"', undefined, { input: 'Q', output: 'Bad' }),
    messages: 'message Bad { oneof o { option (edge.v1.inline) = true; R r = 1; } string s = 2; }',
    message: 'x.v1.Bad.o: an inline oneof must contain all fields of its message, and only messages',
  },
]

for (const { fault, methods, messages, message } of ERRORS) {
  t.test(`a contract with ${fault} is rejected at boot, and the error names the method`, async t => {
    const error = errorOf(() => routesOf(methods, messages))
    t.ok(error.includes('\n  upstream up: x.v1.S/M: '), error)
    t.match(error, message)
  })
}

t.test('equal bindings of two methods are rejected at boot with the names of both methods', async t => {
  const methods = `${method('get: "/v1/{id}"')} ${method('get: "/v1/{nested.id}"').replace('rpc M', 'rpc N')}`
  t.match(
    errorOf(() => routesOf(methods)),
    'x.v1.S/N: GET /v1/{nested.id} is already bound to x.v1.S/M',
  )
})

t.test('the error at boot lists every invalid method of the contract', async t => {
  const methods = ['get: "/a" body: "*"', 'get: "/b/{nope}"', 'get: "/ok"', 'get: "c"']
    .map((http, index) => method(http).replace('rpc M', `rpc M${index}`))
    .join('\n')
  const error = errorOf(() => routesOf(methods))
  t.same(error.match(/x\.v1\.S\/M\d/g), ['x.v1.S/M0', 'x.v1.S/M1', 'x.v1.S/M3'])
})

t.test('the contract of this repository can be served, without its internal services', async t => {
  const contract = readContract(new URL('../../../proto/gen/contract.binpb', import.meta.url))
  const services = ['auth.v1.AuthService', 'auth.v1.RevocationService', 'user.v1.UserService', 'user.v1.AccountService']
  const routes = buildRouteTable(services.map(name => ({ service: serviceOf(contract, name), upstream: 'x' })))
  t.ok(routes.some(route => route.name === 'auth.v1.AuthService/Login'))
  t.notOk(routes.some(route => /Revocation|Account/.test(route.name)))
})

function errorOf(build: () => unknown): string {
  try {
    build()
  } catch (error) {
    if (error instanceof ContractError) return error.message
    throw error
  }
  return 'no error'
}
