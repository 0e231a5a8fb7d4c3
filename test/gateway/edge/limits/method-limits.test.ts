import t from 'tap'
import { ContractError, serviceOf } from '#runtime/grpc/contract.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { type Limit, resolveMethodLimits } from '../../../../gateway/edge/limits/method-limits.ts'
import { buildContract } from '../../../support/contract.ts'

const POLICIES: Record<string, string> = {
  Public: 'access: ACCESS_PUBLIC',
  PublicNamed: 'access: ACCESS_PUBLIC rate_limit: { class: "auth" cost: 2 refund_on_success: true }',
  Optional: 'access: ACCESS_OPTIONAL rate_limit: { cost: 3 }',
  OptionalNamed: 'access: ACCESS_OPTIONAL rate_limit: { class: "auth" }',
  User: 'access: ACCESS_USER',
  UserNamed: 'access: ACCESS_USER rate_limit: { class: "auth" cost: 5 }',
  Roles: 'access: ACCESS_ROLES roles: ["admin"]',
}

const contract = buildContract({
  'x.proto': `
    syntax = "proto3";
    package x.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message M {}
    service S {
      ${Object.entries(POLICIES)
        .map(
          ([name, policy]) => `rpc ${name}(M) returns (M) {
            option (google.api.http) = { get: "/${name}" };
            option (edge.v1.policy) = { ${policy} };
          }`,
        )
        .join('\n')}
    }`,
})
const routes = buildRouteTable([{ service: serviceOf(contract, 'x.v1.S'), upstream: 'up' }])

const classes = {
  user: { capacity: 100, refill: '10 / 1s' },
  anonymous: { capacity: 100, refill: '100 / 15m' },
  auth: { capacity: 5, refill: '5 / 15m' },
}

function limitsWith(methods: Record<string, object> = {}) {
  return resolveMethodLimits(routes, limitsSchema.parse({ classes, methods }))
}

const describe = (limit: Limit | undefined) =>
  limit && `${limit.className} ${limit.cost}${limit.refundOnSuccess ? ' refunded' : ''}`

t.test('class and cost of a method follow from its access level and its rate_limit option', async t => {
  const limits = limitsWith()
  const EXPECTED: Record<string, [byAddress: string, byPrincipal: string | undefined]> = {
    Public: ['anonymous 1', undefined],
    PublicNamed: ['auth 2 refunded', undefined],
    Optional: ['anonymous 3', 'user 3'],
    OptionalNamed: ['auth 1', undefined],
    User: ['anonymous 1', 'user 1'],
    UserNamed: ['anonymous 1', 'auth 5'],
    Roles: ['anonymous 1', 'user 1'],
  }
  for (const [name, expected] of Object.entries(EXPECTED)) {
    const found = limits.get(`x.v1.S/${name}`)
    t.strictSame([describe(found?.byAddress), describe(found?.byPrincipal)], expected, name)
    t.equal(describe(found?.unauthenticated), 'anonymous 1')
  }
})

t.test('gateway.yaml overrides the rate_limit option of a method', async t => {
  const limits = limitsWith({
    'x.v1.S/User': { class: 'auth', cost: 4, refundOnSuccess: true },
    'x.v1.S/PublicNamed': { cost: 1, refundOnSuccess: false },
  })
  t.equal(describe(limits.get('x.v1.S/User')?.byPrincipal), 'auth 4 refunded')
  t.equal(describe(limits.get('x.v1.S/PublicNamed')?.byAddress), 'auth 1')
})

t.test('a ContractError lists every method with an invalid limit', async t => {
  const classesWithoutAuth = { user: classes.user, anonymous: classes.anonymous }
  const settings = limitsSchema.parse({
    classes: classesWithoutAuth,
    methods: { 'x.v1.S/User': { cost: 101 }, 'x.v1.S/Unknown': { cost: 1 } },
  })
  try {
    resolveMethodLimits(routes, settings)
    t.fail('no error')
  } catch (error) {
    t.type(error, ContractError)
    const lines = (error as Error).message
      .split('\n')
      .slice(1)
      .map(line => line.trim())
    t.strictSame(lines, [
      'x.v1.S/PublicNamed: rate-limit class "auth" is not defined in gateway.yaml',
      'x.v1.S/OptionalNamed: rate-limit class "auth" is not defined in gateway.yaml',
      'x.v1.S/User: cost 101 exceeds the capacity of class "user", 100',
      'x.v1.S/UserNamed: rate-limit class "auth" is not defined in gateway.yaml',
      'x.v1.S/Unknown: gateway.yaml sets a limit, but no upstream exposes this method',
    ])
  }
})
