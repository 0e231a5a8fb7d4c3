import { type DescMessage, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { assertProperty } from '../../../support/property.ts'
import { arbitraryTypes } from './arbitrary-types.ts'
import { arbitraryWire, damaged } from './arbitrary-wire.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, newTally, runs, testRoute } from './codec-pair.ts'

t.test(
  'the compiled codec decodes generated messages as the reference codec does, and throws the same errors',
  async t => {
    const tally = newTally()
    const cases = arbitraryTypes().chain(spec => {
      const registry = buildDescriptors(spec)
      const schema = registry.getMessage('t.v1.T0') as DescMessage
      const wire = arbitraryWire(schema)
      // @bufbuild/protobuf does not write messages without their required fields.
      const hasRequired = spec.types.flat().some(field => field.label === 'required')
      const encoded = hasRequired
        ? wire
        : arbitraryMessage(schema, { registry }).map(message => toBinary(schema, message))
      return fc.record({
        spec: fc.constant(spec),
        responseBody: fc.constantFrom(undefined, undefined, undefined, ...schema.fields.map(field => field.name)),
        messages: fc.array(fc.oneof(encoded, wire, damaged(encoded), damaged(wire)), { minLength: 30, maxLength: 30 }),
      })
    })
    await assertProperty(
      t,
      fc.property(cases, ({ spec, responseBody, messages }) => {
        const registry = buildDescriptors(spec)
        const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, { responseBody })
        const pair = codecPair(route, registry, tally)
        for (const message of messages) pair.decode(message)
      }),
      { numRuns: runs(150) },
    )
    t.comment(tally)
    t.ok(tally.rejected > 500, `${tally.rejected} messages are rejected`)
    t.ok(tally.withoutFallback > 1000, `${tally.withoutFallback} messages are decoded without a fallback`)
  },
)
