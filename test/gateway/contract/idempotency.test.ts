import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { isIdempotent } from '../../../gateway/contract/idempotency.ts'
import { buildRouteTable } from '../../../gateway/contract/route-table.ts'
import { buildService } from '../../support/service-contract.ts'

/** HTTP rule, `idempotency_level`, `retry` of the policy, and whether calls may be repeated. */
const CASES: [rule: string, level: string, retry: string, expected: boolean][] = [
  ['get: "/1"', '', '', true],
  ['put: "/2" body: "*"', '', '', true],
  ['delete: "/3"', '', '', true],
  ['post: "/4" body: "*"', '', '', false],
  ['patch: "/5" body: "*"', '', '', false],
  ['custom: {kind: "HEAD" path: "/6"}', '', '', true],
  ['post: "/7" body: "*"', 'IDEMPOTENT', '', true],
  ['post: "/8" body: "*"', 'NO_SIDE_EFFECTS', '', true],
  ['post: "/9" body: "*"', '', 'RETRY_ALWAYS', true],
  ['get: "/10"', '', 'RETRY_NEVER', false],
  ['post: "/11" body: "*"', 'IDEMPOTENT', 'RETRY_NEVER', false],
]

const methods = CASES.map(([rule, level, retry], index) => {
  const policy = retry === '' ? 'access: ACCESS_PUBLIC' : `access: ACCESS_PUBLIC retry: ${retry}`
  return `rpc M${index}(Nothing) returns (Nothing) {
    ${level === '' ? '' : `option idempotency_level = ${level};`}
    option (google.api.http) = { ${rule} };
    option (edge.v1.policy) = { ${policy} };
  }`
})
const { contract, service } = buildService('x.v1.S', { methods, messages: 'message Nothing {}' })

t.test('a method is idempotent by its policy, else by idempotency_level, else by the HTTP method', async t => {
  const routes = buildRouteTable([{ service: serviceOf(contract, service), upstream: 'x' }])
  for (const [index, [rule, level, retry, expected]] of CASES.entries()) {
    const route = routes.find(({ name }) => name === `x.v1.S/M${index}`)
    t.equal(route && isIdempotent(route), expected, `${rule} ${level} ${retry}`)
  }
})
