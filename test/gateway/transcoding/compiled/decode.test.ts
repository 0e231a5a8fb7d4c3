import { type DescMessage, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { arbitraryTypes } from './arbitrary-types.ts'
import { arbitraryWire, damaged } from './arbitrary-wire.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, newTally, runs, testRoute } from './codec-pair.ts'

t.test('what the compiled codec reads, it reads as the reference does, and refuses the same', async t => {
  const tally = newTally()
  const cases = arbitraryTypes().chain(spec => {
    const registry = buildDescriptors(spec)
    const schema = registry.getMessage('t.v1.T0') as DescMessage
    const wire = arbitraryWire(schema)
    // A message that lacks what it must have cannot be written.
    const mayLack = spec.types.flat().some(field => field.label === 'required')
    const encoded = mayLack ? wire : arbitraryMessage(schema, { registry }).map(message => toBinary(schema, message))
    return fc.record({
      spec: fc.constant(spec),
      responseBody: fc.constantFrom(undefined, undefined, undefined, ...schema.fields.map(field => field.name)),
      messages: fc.array(fc.oneof(encoded, wire, damaged(encoded), damaged(wire)), { minLength: 30, maxLength: 30 }),
    })
  })
  fc.assert(
    fc.property(cases, ({ spec, responseBody, messages }) => {
      const registry = buildDescriptors(spec)
      const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, { responseBody })
      const pair = codecPair(route, registry, tally)
      for (const message of messages) pair.decode(message)
    }),
    { numRuns: runs(150) },
  )
  t.comment(tally)
  t.ok(tally.refused > 500 && tally.withoutReference > 1000, 'says something')
})
