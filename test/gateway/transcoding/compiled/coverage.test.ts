import { type DescMessage, ScalarType, toBinary, toJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { everyFieldContract } from '../../../support/every-field.ts'
import { assertProperty } from '../../../support/property.ts'
import type { FieldSpec } from './arbitrary-types.ts'
import { buildDescriptors } from './build-descriptors.ts'
import { codecPair, runs, testRoute } from './codec-pair.ts'

const every = everyFieldContract()
const wellKnown = buildDescriptors({
  syntax: 'proto3',
  isExtended: false,
  types: [['plain', 'list', 'map'].flatMap(label => fieldsOfWellKnownTypes(label as FieldSpec['label'])), [], []],
})

const COMPILED = [
  ...['Scalars', 'OptionalScalars', 'ScalarLists', 'ScalarMaps', 'MapKeys'].map(
    name => [every, `every.v1.${name}`] as const,
  ),
  [wellKnown, 't.v1.T0'] as const,
]

for (const [registry, name] of COMPILED) {
  t.test(`at least 90 % of the values that @bufbuild/protobuf writes for ${name} need no fallback`, async t => {
    const schema = registry.getMessage(name) as DescMessage
    const pair = codecPair(testRoute(schema, { body: '*' }), registry)
    const writeOptions = fc.record({ useProtoFieldName: fc.boolean(), alwaysEmitImplicit: fc.boolean() })
    await assertProperty(
      t,
      fc.property(arbitraryMessage(schema), writeOptions, (message, options) => {
        pair.decode(toBinary(schema, message))
        const body = Buffer.from(JSON.stringify(toJson(schema, message, options)))
        pair.encode({ pathValues: [], query: '', body, cookies: {} })
      }),
      { numRuns: runs(200) },
    )
    const { accepted, rejected, withoutFallback } = pair.tally
    t.equal(rejected, 0)
    // NaN and U+FFFD, for example, fall back.
    t.ok(withoutFallback >= accepted * 0.9, `${withoutFallback} of ${accepted} conversions need no fallback`)
  })
}

t.test('a codec names the types and directions that are not compiled', async t => {
  const uncompiled = (name: string) =>
    createCompiledCodec(testRoute(every.getMessage(name) as DescMessage, { body: '*' }), every).uncompiled
  t.same(uncompiled('every.v1.Scalars'), [])
  t.same(
    uncompiled('every.v1.WellKnown'),
    ['google.protobuf.Any', 'google.protobuf.Any'],
    'once for requests, once for responses',
  )
  t.same(uncompiled('every.v1.Closed'), ['every request', 'every.v1.Closed'], 'a group cannot be compiled')
  t.same(uncompiled('google.protobuf.Duration'), ['every request'])
})

function fieldsOfWellKnownTypes(label: FieldSpec['label']): FieldSpec[] {
  const names = [
    'Duration',
    'Empty',
    'FieldMask',
    'ListValue',
    'Struct',
    'Timestamp',
    'Value',
    'BoolValue',
    'BytesValue',
  ].concat('DoubleValue', 'FloatValue', 'Int32Value', 'Int64Value', 'StringValue', 'UInt32Value', 'UInt64Value')
  return names.map((name, index) => ({
    name: `a_${label}_${name.toLowerCase()}`,
    number: index + { plain: 1, list: 20, map: 40 }[label as 'plain'],
    jsonName: undefined,
    label,
    type: `google.protobuf.${name}`,
    key: ScalarType.INT32,
    rules: undefined,
    isCookie: false,
  }))
}
