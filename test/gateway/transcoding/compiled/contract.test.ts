import { toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { readContract } from '#runtime/grpc/contract.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { assertProperty } from '../../../support/property.ts'
import { arbitraryRequest } from './arbitrary-request.ts'
import { arbitraryWire, damaged } from './arbitrary-wire.ts'
import { codecPair, newTally, runs } from './codec-pair.ts'

const contract = readContract(new URL('../../../../proto/gen/contract.binpb', import.meta.url))
const services = [...contract].filter(type => type.kind === 'service')
const routes = buildRouteTable(services.map(service => ({ service, upstream: '' })))

t.test('every route of the contract of this repository is compiled completely', async t => {
  t.ok(routes.length > 10)
  for (const route of routes) t.same(createCompiledCodec(route, contract).uncompiled, [], route.name)
})

t.test('both codecs agree on generated requests and responses of every route of the contract', async t => {
  const tally = newTally()
  for (const route of routes) {
    const { output } = route.descriptor
    const pair = codecPair(route, contract, tally)
    const request = fc.constantFrom(0, 5, 20).chain(faultPercent => arbitraryRequest(route, faultPercent))
    const encoded = arbitraryMessage(output, { registry: contract }).map(message => toBinary(output, message))
    const response = fc.oneof(encoded, encoded, arbitraryWire(output), damaged(encoded))
    await assertProperty(
      t,
      fc.property(request, response, (input, message) => {
        pair.encode(input)
        pair.decode(message)
      }),
      { numRuns: runs(60) },
    )
  }
  t.comment(tally)
  t.ok(tally.withoutFallback > 500, `${tally.withoutFallback} conversions need no fallback`)
})
