import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { AccessLevel, ContractError } from '#runtime/grpc/contract.ts'
import { buildRouteTable, type OmittedRoute } from '../../../gateway/contract/route-table.ts'
import { limitsSchema } from '../../../gateway/edge/limits/limit-classes.ts'
import { createLimitOrder } from '../../../gateway/edge/limits/limit-order.ts'
import { resolvePaths, upstreamSchema } from '../../../gateway/upstream/upstream-config.ts'
import { exposeContract } from '../../../gateway/upstream/upstream-contract.ts'
import { buildContract } from '../../support/contract.ts'

/** A contract without options, as of a service whose protos cannot be changed. */
const PLAIN = buildContract({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    message Item { string id = 1; string name = 2; }
    service Shop {
      rpc Get(Item) returns (Item);
      rpc Put(Item) returns (Item);
      rpc Watch(Item) returns (stream Item);
      rpc Upload(stream Item) returns (Item);
    }
    service Stock { rpc Count(Item) returns (Item); }
  `,
})

const ANNOTATED = buildContract({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message Item { string id = 1; }
    service Shop {
      rpc Get(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/items/{id}" };
        option (edge.v1.policy) = { access: ACCESS_USER timeout: { seconds: 5 } };
      }
      rpc Delete(Item) returns (Item) {
        option (google.api.http) = { delete: "/v1/items/{id}" };
        option (edge.v1.policy) = { access: ACCESS_ROLES roles: "moderator" };
      }
    }
  `,
})

const INTERNAL = buildContract({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    message Item { string id = 1; }
    service Shop { rpc Get(Item) returns (Item) { option (edge.v1.policy) = { access: ACCESS_INTERNAL }; } }
  `,
})

const RULES = `
type: google.api.Service
config_version: 3
name: shop.example.com
http:
  rules:
    - selector: shop.v1.Shop.Get
      get: /v1/items/{id}
      additional_bindings: [{ get: '/v1/{id=things/*}' }]
    - selector: shop.v1.Shop.Put
      put: /v1/items/{id}
      body: '*'
    - selector: other.v1.Other.Get
      get: /v1/other
`

interface Case {
  contract?: typeof PLAIN
  services?: string[]
  rules?: string
  entry: object
}

/** Builds the routes of one upstream of gateway.yaml. */
function routesOf(t: Test, { contract = PLAIN, services = ['shop.v1.Shop'], rules, entry }: Case) {
  const folder = t.testdir({})
  if (rules !== undefined) writeFileSync(path.join(folder, 'rules.yaml'), rules)
  const config = upstreamSchema.parse({
    name: 'shop',
    address: '127.0.0.1:1',
    contract: 'c.binpb',
    services,
    ...(rules !== undefined && { httpRules: 'rules.yaml' }),
    ...entry,
  })
  const compareLimits = createLimitOrder(limitsSchema.parse(undefined))
  const omitted: OmittedRoute[] = []
  const { exposed } = exposeContract(resolvePaths(config, folder), contract, { compareLimits, env: {} })
  const routes = buildRouteTable(exposed, route => void omitted.push(route))
  return {
    omitted,
    routes,
    lines: routes.map(
      ({ httpMethod, template, name, policy }) =>
        `${httpMethod} ${template.source} ${name} ${AccessLevel[policy.access]}${policy.roles.length > 0 ? ` ${policy.roles}` : ''}`,
    ),
  }
}

t.test('external HTTP rules and a default policy expose a contract without options', async t => {
  const { lines, omitted } = routesOf(t, { rules: RULES, entry: { policies: { default: { access: 'user' } } } })
  t.strictSame(lines, [
    'GET /v1/items/{id} shop.v1.Shop/Get USER',
    'GET /v1/{id=things/*} shop.v1.Shop/Get USER',
    'PUT /v1/items/{id} shop.v1.Shop/Put USER',
  ])
  t.strictSame(
    omitted.map(({ name }) => name),
    ['shop.v1.Shop/Watch', 'shop.v1.Shop/Upload'],
    'methods without a rule are left out and reported',
  )
})

t.test(
  '`unannotated: post` exposes methods by their full name, except client streams and internal methods',
  async t => {
    const { lines, omitted, routes } = routesOf(t, {
      entry: {
        unannotated: 'post',
        policies: { default: { access: 'public' }, 'shop.v1.Shop/Put': { access: 'internal' } },
      },
    })
    t.strictSame(lines, [
      'POST /shop.v1.Shop/Get shop.v1.Shop/Get PUBLIC',
      'POST /shop.v1.Shop/Watch shop.v1.Shop/Watch PUBLIC',
    ])
    t.same(routes[0]?.body, { kind: 'message' })
    t.match(omitted, [{ name: 'shop.v1.Shop/Upload', reason: /request stream/ }])
  },
)

t.test('an HTTP rule of the file takes precedence over `unannotated: post`', async t => {
  const { lines } = routesOf(t, {
    rules: RULES,
    entry: {
      unannotated: 'post',
      policies: { default: { access: 'public' }, 'shop.v1.Shop/Watch': { access: 'internal' } },
    },
  })
  t.strictSame(lines, [
    'GET /v1/items/{id} shop.v1.Shop/Get PUBLIC',
    'GET /v1/{id=things/*} shop.v1.Shop/Get PUBLIC',
    'PUT /v1/items/{id} shop.v1.Shop/Put PUBLIC',
  ])
})

t.test('the most specific policy applies: of the method, of the service, then `default`', async t => {
  const { lines } = routesOf(t, {
    services: ['shop.v1.Shop', 'shop.v1.Stock'],
    entry: {
      unannotated: 'post',
      policies: {
        default: { access: 'user' },
        'shop.v1.Shop': { access: 'roles', roles: ['editor', 'admin'] },
        'shop.v1.Shop/Get': { access: 'public' },
      },
    },
  })
  t.strictSame(lines, [
    'POST /shop.v1.Shop/Get shop.v1.Shop/Get PUBLIC',
    'POST /shop.v1.Shop/Put shop.v1.Shop/Put ROLES editor,admin',
    'POST /shop.v1.Shop/Watch shop.v1.Shop/Watch ROLES editor,admin',
    'POST /shop.v1.Stock/Count shop.v1.Stock/Count USER',
  ])
})

t.test('every field of a policy entry reaches the route', async t => {
  const { routes } = routesOf(t, {
    rules: RULES,
    entry: {
      policies: {
        default: {
          access: 'optional',
          timeoutMs: 1500,
          successStatus: 201,
          tolerateInvalidToken: true,
          rateLimit: { class: 'user', cost: 3, refundOnSuccess: true },
        },
      },
    },
  })
  t.match(routes[0]?.policy, {
    access: AccessLevel.OPTIONAL,
    timeout: { seconds: 1n, nanos: 500_000_000 },
    successStatus: 201,
    tolerateInvalidToken: true,
    rateLimit: { class: 'user', cost: 3, refundOnSuccess: true },
  })
})

t.test('a stricter entry replaces the policy of the contract, field by field', async t => {
  const { lines, routes } = routesOf(t, {
    contract: ANNOTATED,
    entry: { policies: { 'shop.v1.Shop/Get': { access: 'roles', roles: ['admin'], timeoutMs: 1000 } } },
  })
  t.equal(lines[0], 'GET /v1/items/{id} shop.v1.Shop/Get ROLES admin')
  t.equal(routes[0]?.policy.timeout?.seconds, 1n)
  t.equal(lines[1], 'DELETE /v1/items/{id} shop.v1.Shop/Delete ROLES moderator')
})

t.test('`default` and service entries never weaken the policy of the contract', async t => {
  for (const name of ['default', 'shop.v1.Shop']) {
    const { lines, routes } = routesOf(t, {
      contract: ANNOTATED,
      entry: { policies: { [name]: { access: 'public', timeoutMs: 60_000 } } },
    })
    t.strictSame(lines, [
      'GET /v1/items/{id} shop.v1.Shop/Get USER',
      'DELETE /v1/items/{id} shop.v1.Shop/Delete ROLES moderator',
    ])
    t.equal(routes[0]?.policy.timeout?.seconds, 5n)
  }
})

t.test('with `override: true` an entry may weaken the contract; fields that it does not set are kept', async t => {
  const { lines, routes } = routesOf(t, {
    contract: ANNOTATED,
    entry: { policies: { 'shop.v1.Shop/Get': { access: 'public', override: true } } },
  })
  t.equal(lines[0], 'GET /v1/items/{id} shop.v1.Shop/Get PUBLIC')
  t.equal(routes[0]?.policy.timeout?.seconds, 5n)
})

const PATTERN = buildContract({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    message Part { string code = 1 [(edge.v1.rules) = { pattern: "(a+)+b" }]; }
    message Item { string id = 1; repeated Part parts = 2; }
    service Shop { rpc Get(Item) returns (Item); }
  `,
})

t.test(
  'a pattern of edge.v1.rules in a contract read by reflection requires trust, also in a nested message',
  async t => {
    const entry = { contract: 'reflection', unannotated: 'post', policies: { default: { access: 'public' } } }
    t.throws(
      () => routesOf(t, { contract: PATTERN, entry }),
      /patterns of edge\.v1\.rules .* require `trusted: true`: shop\.v1\.Part\.code$/,
    )
    t.equal(routesOf(t, { contract: PATTERN, entry: { ...entry, trusted: true } }).routes.length, 1)
  },
)

t.test('a stricter access level ends the tolerance of invalid tokens', async t => {
  const contract = buildContract({
    'shop.proto': `
      syntax = "proto3";
      package shop.v1;
      import "edge/v1/options.proto";
      import "google/api/annotations.proto";
      message Item { string id = 1; }
      service Shop {
        rpc Get(Item) returns (Item) {
          option (google.api.http) = { get: "/v1/items/{id}" };
          option (edge.v1.policy) = { access: ACCESS_OPTIONAL tolerate_invalid_token: true };
        }
      }
    `,
  })
  for (const override of [false, true]) {
    const { routes } = routesOf(t, { contract, entry: { policies: { default: { access: 'user', override } } } })
    t.match(routes[0]?.policy, { access: AccessLevel.USER, tolerateInvalidToken: false })
  }
})

t.test('an internal entry hides a method that has an HTTP rule in its contract', async t => {
  const { lines } = routesOf(t, {
    contract: ANNOTATED,
    entry: { policies: { 'shop.v1.Shop/Delete': { access: 'internal' } } },
  })
  t.strictSame(lines, ['GET /v1/items/{id} shop.v1.Shop/Get USER'])
})

t.test('HTTP rules of the file replace those of the contract', async t => {
  const { lines } = routesOf(t, {
    contract: ANNOTATED,
    rules: RULES.replace('shop.v1.Shop.Put', 'other.v1.Other.Put'),
    entry: {},
  })
  t.strictSame(lines, [
    'GET /v1/items/{id} shop.v1.Shop/Get USER',
    'GET /v1/{id=things/*} shop.v1.Shop/Get USER',
    'DELETE /v1/items/{id} shop.v1.Shop/Delete ROLES moderator',
  ])
})

const FAULTS: ({ fault: string; messages: RegExp[] } & Case)[] = [
  {
    fault: 'a method with an HTTP rule and no policy',
    rules: RULES,
    entry: { policies: { 'shop.v1.Shop/Get': { access: 'user' } } },
    messages: [/shop\.v1\.Shop\/Put: has no policy.*`policies` of the upstream/],
  },
  {
    fault: 'an entry for a method that weakens its contract',
    contract: ANNOTATED,
    entry: {
      policies: {
        'shop.v1.Shop/Get': { access: 'optional' },
        'shop.v1.Shop/Delete': { access: 'roles', roles: ['editor'] },
      },
    },
    messages: [
      /shop\.v1\.Shop\/Get: gateway\.yaml weakens access .*`override: true`/,
      /shop\.v1\.Shop\/Delete: gateway\.yaml weakens access and roles/,
    ],
  },
  {
    fault: 'a policy for an unknown service or method',
    entry: { policies: { 'shop.v1.Shop/Got': { access: 'user' }, 'shop.v2.Shop': { access: 'user' } } },
    messages: [/policies: shop\.v1\.Shop\/Got is neither/, /policies: shop\.v2\.Shop is neither/],
  },
  {
    fault: 'an HTTP rule for an unknown method of an exposed service',
    rules: RULES.replace('Shop.Put', 'Shop.Pit'),
    entry: { policies: { default: { access: 'user' } } },
    messages: [/rules\.yaml:\d+: the contract has no method shop\.v1\.Shop\/Pit/],
  },
  {
    fault: 'an HTTP rule for a method that is internal in its contract',
    contract: INTERNAL,
    rules: RULES.replace('shop.v1.Shop.Put', 'other.v1.Other.Put'),
    entry: {},
    messages: [/shop\.v1\.Shop\/Get: an internal or service method cannot have an HTTP rule/],
  },
  {
    fault: 'several unknown services',
    services: ['shop.v1.Shp', 'shop.v1.Stoc'],
    entry: {},
    messages: [/no service shop\.v1\.Shp; it has shop\.v1\.Shop, shop\.v1\.Stock/, /no service shop\.v1\.Stoc/],
  },
  {
    fault: 'a selector of several methods',
    rules: RULES.replace('shop.v1.Shop.Get', "'shop.v1.Shop.*'"),
    entry: {},
    messages: [/rules\.yaml:7: the selector "shop\.v1\.Shop\.\*" is not the full name of a method/],
  },
  {
    fault: 'an unknown field of a rule',
    rules: RULES.replace('put: /v1', 'putt: /v1'),
    entry: {},
    messages: [/rules\.yaml:10: shop\.v1\.Shop\.Put: .*putt/],
  },
  {
    fault: 'a file of another type',
    rules: RULES.replace('google.api.Service', 'google.api.Services'),
    entry: {},
    messages: [/rules\.yaml:2: type: must be google\.api\.Service/],
  },
]

for (const { fault, messages, ...options } of FAULTS) {
  t.test(`${fault} is an error with its place`, async t => {
    try {
      routesOf(t, options)
      t.fail('the contract was accepted')
    } catch (error) {
      t.type(error, ContractError)
      for (const message of messages) t.match((error as Error).message, message)
    }
  })
}

t.test('of two rules with one selector, the last applies', async t => {
  const again = `${RULES}    - selector: shop.v1.Shop.Get\n      get: /v2/items/{id}\n`
  const { lines } = routesOf(t, { rules: again, entry: { policies: { default: { access: 'user' } } } })
  t.equal(lines[0], 'GET /v2/items/{id} shop.v1.Shop/Get USER')
})
