import type { FileRegistry } from '@bufbuild/protobuf'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { findChangeProblems, recordPolicies } from '../../../gateway/contract/contract-change.ts'
import { buildRouteTable, type Route } from '../../../gateway/contract/route-table.ts'
import { buildContract } from '../../support/contract.ts'

interface Binding {
  /** Such as `get: "/v1/items/{a}"`. */
  http: string
  /** Default: public. */
  policy?: string
  rpc?: string
}

/** Services of one contract, which is compiled when the routes of the first one are read. */
const services: string[] = []
let contract: FileRegistry | undefined

/** Defines an upstream with the bindings, one method each. @returns a function that returns its routes. */
function define(upstream: string, bindings: readonly (string | Binding)[]): () => Route[] {
  const methods = bindings.map((binding, index) => {
    const full = typeof binding === 'string' ? { http: binding } : binding
    const { http, policy = 'access: ACCESS_PUBLIC', rpc = `M${index}` } = full
    return `rpc ${rpc}(Message) returns (Message) {
      option (google.api.http) = {${http}};
      option (edge.v1.policy) = {${policy}};
    }`
  })
  const name = `Api${services.length}`
  services.push(`service ${name} { ${methods.join('\n')} }`)
  return () => {
    contract ??= buildContract({
      'x.proto': `
        syntax = "proto3";
        package x.v1;
        import "edge/v1/options.proto";
        import "google/api/annotations.proto";
        message Message { string a = 1; string b = 2; }
        ${services.join('\n')}
      `,
    })
    return buildRouteTable([{ service: serviceOf(contract, `x.v1.${name}`), upstream }])
  }
}

const CONTEXT = { compareLimits: () => 'same' as const, defaultTimeoutMs: 2500 }

const PATHS: [other: string, added: string, takes: boolean][] = [
  ['get: "/v1/users/{a}"', 'get: "/v1/users/me"', true],
  ['get: "/v1/users/{a}"', 'post: "/v1/users/me"', false],
  ['get: "/v1/users/{a}"', 'get: "/v1/users/{a}/orders"', false],
  ['get: "/v1/users/{a}"', 'get: "/v1/orders/{a}"', false],
  ['get: "/v1/users/me"', 'get: "/v1/users/{a}"', false],
  ['get: "/v1/{a}/{b}"', 'get: "/v1/{a}/orders"', true],
  ['get: "/{a}/orders"', 'get: "/v1/{a}"', true],
  ['get: "/{a=**}"', 'get: "/v1/orders"', true],
  ['get: "/{a=**}"', 'get: "/v1/{a=**}"', true],
  ['get: "/v1/{a=**}"', 'get: "/v1"', true],
  ['get: "/v1/orders"', 'get: "/{a=**}"', false],
  ['get: "/v1/users/{a}"', 'get: "/v1/users/{a}:export"', true],
  ['get: "/v1/users/{a}:export"', 'get: "/v1/users/{a}"', false],
  ['get: "/v1/users/{a}:export"', 'get: "/v1/users/{a}:import"', false],
  ['get: "/v1/users/{a}:export"', 'get: "/v1/users/me:export"', true],
  ['get: "/v1/a%62c/{a}"', 'get: "/v1/abc/me"', true],
  ['get: "/v1/users/{a}"', 'custom: {kind: "HEAD" path: "/v1/users/{a}"}', true],
  ['get: "/v1/users/{a}"', 'custom: {kind: "HEAD" path: "/v1/users/me"}', true],
  ['custom: {kind: "HEAD" path: "/v1/users/{a}"}', 'get: "/v1/users/{a}"', false],
  ['custom: {kind: "HEAD" path: "/v1/users/{a}"}', 'get: "/v1/users/me"', true],
  ['custom: {kind: "*" path: "/v1/users/me"}', 'get: "/v1/users/me"', true],
  ['custom: {kind: "*" path: "/v1/users/me"}', 'custom: {kind: "OPTIONS" path: "/v1/users/me"}', false],
  ['get: "/v1/users/{a}"', 'post: "/v1/users/{a}:export"', true],
  ['get: "/v1/users/{a}"', 'post: "/v1/orders/{a}:export"', false],
]

const http = 'get: "/v1/x"'
const CHANGES: [change: string, before: Binding, after: Binding, problems: RegExp[]][] = [
  ['the same policy', { http }, { http }, []],
  ['a stricter one', { http }, { http, policy: 'access: ACCESS_USER' }, []],
  [
    'a weaker access',
    { http, policy: 'access: ACCESS_USER' },
    { http },
    [/^RPC x\.v1\.Api\/M0: access/, /^GET \/v1\/x: access/],
  ],
  [
    'another role',
    { http, policy: 'access: ACCESS_ROLES, roles: ["admin"]' },
    { http, policy: 'access: ACCESS_ROLES, roles: ["admin", "user"]' },
    [/^RPC .*roles/, /^GET .*roles/],
  ],
  [
    'another method with a weaker policy at the same path',
    { http, policy: 'access: ACCESS_USER' },
    { http, rpc: 'Other' },
    [/^GET \/v1\/x: access/],
  ],
  [
    'the same method at another path with a weaker policy',
    { http, policy: 'access: ACCESS_USER' },
    { http: 'get: "/v1/y"' },
    [/^RPC x\.v1\.Api\/M0: access/],
  ],
]

const users = { me: define('own', ['get: "/v1/users/me"']), one: define('other', ['get: "/v1/users/{a}"']) }

const [strict, weak] = [define('own', [{ http, policy: 'access: ACCESS_USER' }]), define('own', [http])]

const pathCases = PATHS.map(([other, added, takes]) => ({
  other,
  added,
  takes,
  own: define('own', [added]),
  others: define('other', [other]),
}))
const changeCases = CHANGES.map(([change, before, after, expected]) => ({
  change,
  expected,
  old: define('own', [before]),
  next: define('own', [after]),
}))

for (const { other, added, takes, own, others } of pathCases) {
  t.test(`a new route ${added} ${takes ? 'takes paths of' : 'leaves'} ${other} of another upstream`, async t => {
    const problems = findChangeProblems(own(), new Map(), others(), CONTEXT)
    t.equal(problems.length, takes ? 1 : 0, problems.join())
    if (takes) t.match(problems[0], /\/M0 would take paths of .*\/M0, upstream other/)
  })
}

t.test('a route that the upstream had before takes no path', async t => {
  t.strictSame(findChangeProblems(users.me(), recordPolicies(users.me()), users.one(), CONTEXT), [])
})

for (const { change, expected, old, next } of changeCases) {
  t.test(`${change} is ${expected.length > 0 ? 'a problem' : 'allowed'}`, async t => {
    const served = recordPolicies(named(old()))
    const problems = findChangeProblems(named(next()), served, [], CONTEXT)
    t.equal(problems.length, expected.length, problems.join())
    for (const [index, pattern] of expected.entries()) t.match(problems[index], pattern)
  })
}

t.test('a removed method does not come back with a weaker policy', async t => {
  const served = recordPolicies([], recordPolicies(named(strict())))
  t.equal(findChangeProblems(named(weak()), served, [], CONTEXT).length, 2)
})

/** Gives the methods of one service the names that they would have in another version of it. */
function named(routes: readonly Route[]): Route[] {
  return routes.map(route => ({ ...route, name: route.name.replace(/Api\d+/, 'Api') }))
}
