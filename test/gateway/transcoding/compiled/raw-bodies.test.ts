/** google.api.HttpBody as a raw body: both codecs, on generated requests and messages. */
import { type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { buildContract } from '../../../support/contract.ts'
import { assertProperty } from '../../../support/property.ts'
import { arbitraryRequest } from './arbitrary-request.ts'
import { arbitraryWire, damaged } from './arbitrary-wire.ts'
import { codecPair, newTally, type RouteParts, runs, testRoute } from './codec-pair.ts'

const contract = buildContract({
  't.proto': `
    syntax = "proto3";
    package t.v1;
    import "edge/v1/options.proto";
    import "google/api/httpbody.proto";
    import "google/protobuf/timestamp.proto";
    message File {
      string name = 1;
      google.api.HttpBody file = 5;
      int32 revision = 2 [(edge.v1.rules) = { min: -5 }];
      string etag = 3 [(edge.v1.etag) = true];
      optional string cookie = 4 [(edge.v1.cookie) = { name: "c" }];
      repeated google.api.HttpBody others = 6;
      google.protobuf.Timestamp time = 7;
      repeated string if_match = 8 [(edge.v1.if_match) = true];
    }
    message Choice { oneof choice { google.api.HttpBody file = 1; string url = 2; } }
    message Inline { oneof choice { option (edge.v1.inline) = true; google.api.HttpBody file = 1; File other = 2; } }
    message Only { google.api.HttpBody file = 1 [(edge.v1.rules) = { required: true }]; }
  `,
})
const typeNamed = (name: string) => contract.getMessage(name) as DescMessage

const CASES: readonly [type: string, request: RouteParts, responseBody: string | undefined][] = [
  ['google.api.HttpBody', { body: '*' }, undefined],
  ['t.v1.File', { body: 'file', variables: ['name'] }, 'file'],
  ['t.v1.Choice', { body: 'file' }, 'file'],
  ['t.v1.Inline', { body: 'file' }, 'file'],
  ['t.v1.Only', { body: 'file' }, 'file'],
]

for (const [type, request, responseBody] of CASES) {
  const schema = typeNamed(type)
  t.test(`both codecs encode the same raw requests of ${type}`, async t => {
    const route = testRoute(schema, request)
    const pair = codecPair(route, contract)
    const requests = fc.constantFrom(0, 5, 30).chain(faultPercent => arbitraryRequest(route, faultPercent))
    await assertProperty(
      t,
      fc.property(requests, input => pair.encode(input)),
      { numRuns: runs(500) },
    )
    const { accepted, withoutFallback } = pair.tally
    t.ok(withoutFallback > 100, `${withoutFallback} of ${accepted} requests are encoded without a fallback`)
  })

  t.test(`both codecs decode the same raw responses of ${type}`, async t => {
    const tally = newTally()
    const pair = codecPair(testRoute(schema, { responseBody }), contract, tally)
    const encoded = arbitraryMessage(schema, { registry: contract }).map(message => toBinary(schema, message))
    const wire = arbitraryWire(schema)
    await assertProperty(
      t,
      fc.property(fc.oneof(encoded, wire, damaged(encoded), damaged(wire)), message => pair.decode(message)),
      { numRuns: runs(1000) },
    )
    t.ok(tally.accepted > 100 && tally.rejected > 50, `${tally.accepted} accepted, ${tally.rejected} rejected`)
  })
}

t.test('the bytes of a raw body reach the message, and those of a message the body, whatever they are', async t => {
  const codec = createCompiledCodec(testRoute(typeNamed('t.v1.File'), { body: 'file', responseBody: 'file' }), contract)
  const bytes = fc.uint8Array({ maxLength: 300 })
  await assertProperty(
    t,
    fc.property(bytes, fc.constantFrom('', 'image/png'), (body, contentType) => {
      const message = codec.encode({ pathValues: [], query: '', body: Buffer.from(body), contentType, cookies: {} })
      const { file } = fromBinary(typeNamed('t.v1.File'), message) as unknown as {
        file: { contentType: string; data: Uint8Array }
      }
      const decoded = codec.decode(message)
      return (
        Buffer.compare(file.data, body) === 0 &&
        file.contentType === contentType &&
        Buffer.compare(decoded.body as Uint8Array, body) === 0 &&
        decoded.contentType === contentType
      )
    }),
    { numRuns: runs(300) },
  )
})

t.test('the body of a raw response is a slice of its message, not a copy', async t => {
  for (const [type, responseBody] of [['google.api.HttpBody'], ['t.v1.Only', 'file']] as const) {
    const schema = typeNamed(type)
    const codec = createCompiledCodec(testRoute(schema, { responseBody, body: responseBody ?? '*' }), contract)
    const message = codec.encode({ pathValues: [], query: '', body: Buffer.alloc(100_000, 1), cookies: {} })
    t.equal((codec.decode(message).body as Uint8Array).buffer, message.buffer)
    t.same(codec.uncompiled, [])
  }
})
