import type { DescMessage } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { cookieOf } from '#runtime/grpc/contract.ts'
import { assertProperty } from '../../../support/property.ts'
import { arbitraryRequest } from './arbitrary-request.ts'
import { arbitraryTypes } from './arbitrary-types.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, newTally, runs, testRoute } from './codec-pair.ts'

t.test(
  'the compiled codec encodes generated requests as the reference codec does, and throws the same errors',
  async t => {
    const tally = newTally()
    const cases = arbitraryTypes().chain(spec => {
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
    await assertProperty(
      t,
      fc.property(cases, ({ spec, parts, requests }) => {
        const registry = buildDescriptors(spec)
        const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, parts)
        const pair = codecPair(route, registry, tally)
        for (const request of requests) pair.encode(request)
      }),
      { numRuns: runs(150) },
    )
    t.comment(tally)
    t.ok(tally.rejected > 500, `${tally.rejected} requests are rejected`)
    t.ok(tally.withoutFallback > 500, `${tally.withoutFallback} requests are encoded without a fallback`)
  },
)
