import type { DescMessage } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { cookieOf } from '#runtime/grpc/contract.ts'
import { arbitraryRequest } from './arbitrary-request.ts'
import { arbitraryTypes } from './arbitrary-types.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, newTally, runs, testRoute } from './codec-pair.ts'

t.test(
  'what the compiled codec writes, it writes as the reference does, and refuses the same in the same words',
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
      return fc.tuple(parts, fc.constantFrom(0, 1, 5, 30)).chain(([parts, faults]) =>
        fc.record({
          spec: fc.constant(spec),
          parts: fc.constant(parts),
          requests: fc.array(arbitraryRequest(testRoute(schema, parts), faults), { minLength: 30, maxLength: 30 }),
        }),
      )
    })
    fc.assert(
      fc.property(cases, ({ spec, parts, requests }) => {
        const registry = buildDescriptors(spec)
        const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, parts)
        const pair = codecPair(route, registry, tally)
        for (const request of requests) pair.encode(request)
      }),
      { numRuns: runs(150) },
    )
    t.comment(tally)
    t.ok(tally.refused > 500 && tally.withoutReference > 500, 'says something')
  },
)
