import type { DescMessage } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { cookieOf } from '#runtime/grpc/contract.ts'
import { assertProperty } from '../../../support/property.ts'
import { arbitraryRequest } from './arbitrary-request.ts'
import { arbitraryTypes, type TypesSpec } from './arbitrary-types.ts'
import { arbitraryValidatedTypes } from './arbitrary-validated-types.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, newTally, runs, testRoute } from './codec-pair.ts'

const CONTRACTS = [
  { kind: 'generated requests', types: arbitraryTypes(), numRuns: 150, minimum: 500 },
  {
    kind: 'requests to contracts with buf.validate and google.api.field_behavior',
    types: arbitraryValidatedTypes(),
    // Each contract compiles CEL for a validator of its own.
    numRuns: 60,
    minimum: 60,
  },
]

for (const { kind, types, numRuns, minimum } of CONTRACTS) {
  t.test(`the compiled codec encodes ${kind} as the reference codec does, and throws the same errors`, async t => {
    const tally = newTally()
    await assertProperty(
      t,
      fc.property(requestsTo(types), ({ spec, parts, requests }) => {
        const registry = buildDescriptors(spec)
        const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, parts)
        const pair = codecPair(route, registry, tally)
        for (const request of requests) pair.encode(request)
      }),
      { numRuns: runs(numRuns) },
    )
    t.comment(tally)
    t.ok(tally.rejected > minimum, `${tally.rejected} requests are rejected`)
    t.ok(tally.withoutFallback > minimum, `${tally.withoutFallback} requests are encoded without a fallback`)
  })
}

function requestsTo(types: fc.Arbitrary<TypesSpec>) {
  return types.chain(spec => {
    const schema = buildDescriptors(spec).getMessage('t.v1.T0') as DescMessage
    const fields = schema.fields.filter(field => cookieOf(field) === undefined)
    const names = fields.map(field => field.name)
    const scalars = fields.filter(({ fieldKind }) => fieldKind === 'scalar' || fieldKind === 'enum')
    const parts = fc
      .record({
        variables: fc.subarray(scalars.map(field => field.name).slice(0, 2)),
        body: fc.constantFrom('*', '*', '*', undefined, ...names),
      })
      .filter(({ variables, body }) => !variables.includes(body ?? ''))
    return fc.tuple(parts, fc.constantFrom(0, 1, 5, 30)).chain(([parts, faultPercent]) =>
      fc.record({
        spec: fc.constant(spec),
        parts: fc.constant(parts),
        requests: fc.array(arbitraryRequest(testRoute(schema, parts), faultPercent), {
          minLength: 30,
          maxLength: 30,
        }),
      }),
    )
  })
}
