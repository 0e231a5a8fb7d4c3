import { create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { type Policy, PolicySchema, Retry } from '#proto/edge/v1/options_pb.js'
import { AccessLevel, ROLES } from '#runtime/grpc/contract.ts'
import {
  compareField,
  type Order,
  POLICY_FIELDS,
  type PolicyField,
  reverse,
  weakenedFields,
} from '../../../gateway/contract/policy-strictness.ts'
import { limitsSchema } from '../../../gateway/edge/limits/limit-classes.ts'
import { createLimitOrder } from '../../../gateway/edge/limits/limit-order.ts'

const classes = {
  user: { capacity: 100, refill: '10 / 1s' },
  anonymous: { capacity: 10, refill: '1 / 1s' },
  burst: { capacity: 1000, refill: '1 / 1s' },
  free: 'unlimited',
}
const context = { compareLimits: createLimitOrder(limitsSchema.parse({ classes })), defaultTimeoutMs: 2500 }
const { PUBLIC, OPTIONAL, USER, ROLES: BY_ROLE, INTERNAL, SERVICE } = AccessLevel

type Fields = Partial<Omit<Policy, '$typeName' | '$unknown'>>
const policy = (fields: Fields) => create(PolicySchema, fields)
const seconds = (value: number) => ({
  $typeName: 'google.protobuf.Duration' as const,
  seconds: BigInt(value),
  nanos: 0,
})
const limit = (fields: { class?: string; cost?: number; refundOnSuccess?: boolean }) =>
  create(PolicySchema, { rateLimit: { class: '', cost: 0, refundOnSuccess: false, ...fields } }).rateLimit

const CASES: { field: PolicyField; from: Fields; to: Fields; order: Order }[] = [
  { field: 'access', from: { access: PUBLIC }, to: { access: OPTIONAL }, order: 'stricter' },
  { field: 'access', from: { access: OPTIONAL }, to: { access: USER }, order: 'stricter' },
  { field: 'access', from: { access: USER }, to: { access: BY_ROLE, roles: ['user'] }, order: 'stricter' },
  { field: 'access', from: { access: BY_ROLE, roles: ['admin'] }, to: { access: INTERNAL }, order: 'stricter' },
  { field: 'access', from: { access: SERVICE }, to: { access: PUBLIC }, order: 'weaker' },
  {
    field: 'roles',
    from: { access: BY_ROLE, roles: ['admin', 'editor'] },
    to: { access: BY_ROLE, roles: ['admin'] },
    order: 'stricter',
  },
  {
    field: 'roles',
    from: { access: BY_ROLE, roles: ['admin'] },
    to: { access: BY_ROLE, roles: ['admin', 'editor'] },
    order: 'weaker',
  },
  {
    field: 'roles',
    from: { access: BY_ROLE, roles: ['editor'] },
    to: { access: BY_ROLE, roles: ['moderator'] },
    order: 'incomparable',
  },
  { field: 'retry', from: { retry: Retry.NEVER }, to: { retry: Retry.ALWAYS }, order: 'weaker' },
  { field: 'retry', from: { retry: Retry.ALWAYS }, to: { retry: Retry.NEVER }, order: 'stricter' },
  { field: 'retry', from: {}, to: { retry: Retry.ALWAYS }, order: 'same' },
  { field: 'timeout', from: { timeout: seconds(5) }, to: { timeout: seconds(1) }, order: 'stricter' },
  { field: 'timeout', from: {}, to: { timeout: seconds(60) }, order: 'weaker' },
  { field: 'timeout', from: {}, to: { timeout: seconds(2) }, order: 'stricter' },
  { field: 'successStatus', from: {}, to: { successStatus: 201 }, order: 'same' },
  { field: 'tolerateInvalidToken', from: {}, to: { tolerateInvalidToken: true }, order: 'weaker' },
  { field: 'rateLimit', from: { rateLimit: limit({ cost: 2 }) }, to: { rateLimit: limit({}) }, order: 'weaker' },
  { field: 'rateLimit', from: {}, to: { rateLimit: limit({ cost: 2 }) }, order: 'stricter' },
  { field: 'rateLimit', from: {}, to: { rateLimit: limit({ refundOnSuccess: true }) }, order: 'weaker' },
  { field: 'rateLimit', from: { access: USER }, to: { access: PUBLIC }, order: 'stricter' },
  {
    field: 'rateLimit',
    from: { access: USER },
    to: { access: USER, rateLimit: limit({ class: 'free' }) },
    order: 'weaker',
  },
  {
    field: 'rateLimit',
    from: { access: USER },
    to: { access: USER, rateLimit: limit({ class: 'burst' }) },
    order: 'incomparable',
  },
  {
    field: 'rateLimit',
    from: { access: USER },
    to: { access: USER, rateLimit: limit({ class: 'missing' }) },
    order: 'incomparable',
  },
]

for (const { field, from, to, order } of CASES) {
  const text = (fields: Fields) =>
    JSON.stringify(fields, (key, value) => {
      if (key === '$typeName' || value === 0 || value === '') return undefined
      return typeof value === 'bigint' ? Number(value) : value
    }).replaceAll('"', '')
  t.test(`${field}: ${text(to)} is ${order} compared with ${text(from)}`, async t => {
    t.equal(compareField(field, policy(from), policy(to), context), order)
    t.equal(compareField(field, policy(to), policy(from), context), reverse(order))
  })
}

const anyPolicy = fc
  .record({
    access: fc.constantFrom(PUBLIC, OPTIONAL, USER, BY_ROLE, INTERNAL, SERVICE),
    roles: fc.subarray([...ROLES], { minLength: 1 }),
    timeout: fc.option(fc.integer({ min: 1, max: 10 }).map(seconds), { nil: undefined }),
    successStatus: fc.constantFrom(0, 200, 204),
    tolerateInvalidToken: fc.boolean(),
    retry: fc.constantFrom(Retry.UNSPECIFIED, Retry.NEVER, Retry.ALWAYS),
    rateLimit: fc.option(
      fc
        .record({
          class: fc.constantFrom('', 'user', 'anonymous', 'burst', 'free'),
          cost: fc.integer({ min: 0, max: 3 }),
          refundOnSuccess: fc.boolean(),
        })
        .map(limit),
      { nil: undefined },
    ),
  })
  .map(fields => policy(fields as Fields))

t.test(
  'each field: a policy has the same strictness as itself, and the order is antisymmetric and transitive',
  async t => {
    fc.assert(
      fc.property(anyPolicy, anyPolicy, anyPolicy, fc.constantFrom(...POLICY_FIELDS), (a, b, c, field) => {
        const order = (from: Policy, to: Policy) => compareField(field, from, to, context)
        const isAtMost = (from: Policy, to: Policy) => ['same', 'weaker'].includes(order(from, to))
        t.equal(order(a, a), 'same')
        t.equal(order(a, b), reverse(order(b, a)))
        if (isAtMost(a, b) && isAtMost(b, c)) t.ok(isAtMost(a, c), field)
      }),
      { numRuns: 300 },
    )
  },
)

t.test('every field of edge.v1.Policy has an order, and weakenedFields names those that are not as strict', async t => {
  t.strictSame([...POLICY_FIELDS].sort(), PolicySchema.fields.map(({ localName }) => localName).sort())
  const from = policy({ access: USER, timeout: seconds(1) })
  t.strictSame(weakenedFields(from, from, context), [])
  t.strictSame(
    weakenedFields(from, policy({ access: OPTIONAL, timeout: seconds(2), tolerateInvalidToken: true }), context),
    ['access', 'roles', 'timeout', 'tolerateInvalidToken'],
  )
})
