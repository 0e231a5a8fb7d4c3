import { type DescMessage, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { compileStructureCheck } from '../../../../gateway/transcoding/reference/structure-check.ts'
import { TEXT_FORMATS } from '../../../../gateway/transcoding/reference/text-formats.ts'
import { AT_MOST_ONE, validationSchema } from '../../../../gateway/transcoding/reference/validation-schema.ts'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { everyFieldContract } from '../../../support/every-field.ts'
import { assertProperty } from '../../../support/property.ts'

const contract = everyFieldContract()
const every = contract.getMessage('every.v1.Every') as DescMessage
const schemas = every.fields.flatMap(field => (field.fieldKind === 'message' ? [field.message] : []))
const checks = new Map(schemas.map(schema => [schema, compileStructureCheck(schema)]))

function isAccepted(schema: DescMessage, json: JsonValue): boolean {
  return checks.get(schema)?.(json).length === 0
}

/** Whether @bufbuild/protobuf parses the JSON. */
function isParsed(schema: DescMessage, json: JsonValue): boolean {
  try {
    fromJson(schema, json, { registry: contract })
    return true
  } catch {
    return false
  }
}

for (const schema of schemas) {
  t.test(`the schema of ${schema.typeName} accepts the JSON that @bufbuild/protobuf writes`, async t => {
    const writeOptions = fc.record({ useProtoFieldName: fc.boolean(), alwaysEmitImplicit: fc.boolean() })
    await assertProperty(
      t,
      fc.property(arbitraryMessage(schema, { registry: contract }), writeOptions, (message, options) => {
        const json = toJson(schema, message, { registry: contract, ...options })
        return isAccepted(schema, json)
      }),
    )
  })

  t.test(`the schema of ${schema.typeName} rejects only JSON that @bufbuild/protobuf cannot parse`, async t => {
    let parsed = 0
    let rejected = 0
    const written = arbitraryMessage(schema, { depth: 2, registry: contract }).map(message =>
      toJson(schema, message, { registry: contract, alwaysEmitImplicit: true }),
    )
    await assertProperty(
      t,
      fc.property(written.chain(mutation), json => {
        const canParse = isParsed(schema, json)
        const accepts = isAccepted(schema, json)
        if (canParse) parsed++
        if (!accepts) rejected++
        return accepts || !canParse
      }),
      { numRuns: 1000 },
    )
    t.ok(parsed > 20, `${parsed} values were parsed`)
    t.ok(rejected > 20, `${rejected} values were rejected`)
  })
}

/** Replaces one value of the JSON, at any position. */
function mutation(json: JsonValue): fc.Arbitrary<JsonValue> {
  const places = [...placesIn(json)]
  return fc
    .tuple(fc.constantFrom(...places), fc.constantFrom(...VALUES))
    .map(([place, value]) => replaceAt(json, place, value))
}

function* placesIn(json: JsonValue, path: readonly string[] = []): Iterable<readonly string[]> {
  yield path
  if (typeof json !== 'object' || json === null) return
  for (const [name, value] of Object.entries(json)) yield* placesIn(value, [...path, name])
}

function replaceAt(json: JsonValue, [name, ...rest]: readonly string[], value: JsonValue): JsonValue {
  if (name === undefined) return value
  if (Array.isArray(json))
    return json.map((entry, index) => (String(index) === name ? replaceAt(entry, rest, value) : entry))
  return Object.fromEntries(
    Object.entries(json as Record<string, JsonValue>).map(([key, entry]) => [
      key,
      key === name ? replaceAt(entry, rest, value) : entry,
    ]),
  )
}

const VALUES: JsonValue[] = [
  ...[null, true, false, 0, -0, 1, -1, 1.5, 1e3, 1e300, 5, 7, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64],
  ...['', '0', '-0', '1', '-1', '1.0', '1.5', '1e3', '007', 'NaN', 'Infinity', '-Infinity', 'x', 'true', 'null'],
  ...['18446744073709551615', '9223372036854775808', '-9223372036854775809', 'SHADE_DARK', 'shade_dark', 'NULL_VALUE'],
  ...['SMALL', 'MEDIUM', 'AA==', 'AA', 'AAA=', '-_-_', '+/', 'A', '*', 'a.bC,d', 'a_b'],
  ...['2026-01-31T23:59:59Z', '2026-01-31T23:59:59.123456789+01:00', '2026-01-31', '1s', '-1.5s'],
  ...['1', '1ms', '0.0000000001s', 's'],
  ...[[], {}, [null], [1], ['x'], [[]], { x: 1 }, { x: null }, { '1': true }, { true: true }, { '': true }],
  ...[{ '@type': 'type.googleapis.com/every.v1.Enums', shade: 1 }, { '@type': 1 }, { '@type': 'x' }],
  { a_text: 'x', aText: 'x' },
  { aText: 'x', aNumber: '1' },
  { aText: null, aNumber: '1' },
  { aValue: null, aText: 'x' },
  { aNull: null, aText: 'x' },
  { aChoice: null, aText: 'x' },
  { aTime: null, aText: 'x' },
  { only: 'x', yes: true, aShade: 1 },
  { toString: 'x', constructor: 'y' },
]

const STRICTER: Record<string, JsonValue> = {
  'a number in hexadecimal': { scalars: { aInt32: '0x10' } },
  'a number with a plus sign': { scalars: { aInt64: '+1' } },
  'a number with spaces': { scalars: { aInt64: ' 1 ' } },
  'a number without digits before the decimal point': { scalars: { aDouble: '.5' } },
  '30 February': { wellKnown: { timestamp: '2026-02-30T00:00:00Z' } },
  '24:00': { wellKnown: { timestamp: '2026-01-31T24:00:00Z' } },
  'text after a duration': { wellKnown: { duration: '1s and more' } },
  'base64 with white space': { scalars: { aBytes: 'AA AA' } },
  'base64 with incomplete padding': { scalars: { aBytes: 'AA=' } },
  'base64 with data after its padding': { scalars: { aBytes: 'AA==AA==' } },
}

for (const [title, json] of Object.entries(STRICTER)) {
  t.test(`the schema rejects ${title}, which @bufbuild/protobuf parses`, async t => {
    t.ok(isParsed(every, json))
    t.notSame(compileStructureCheck(every)(json), [])
  })
}

t.test('a cookie field is unknown in JSON', async t => {
  const check = compileStructureCheck(contract.getMessage('every.v1.Cookied') as DescMessage)
  t.same(check({ text: 'x' }), [])
  t.same(check({ text: 'x', byCookie: 'y' }), [{ field: 'byCookie', description: 'is not known' }])
  t.same(check({ by_cookie: 'y' }), [{ field: 'by_cookie', description: 'is not known' }])
})

t.test('the schema is valid JSON Schema 2020-12 with one additional keyword', async t => {
  const ajv = new Ajv2020({ allowUnionTypes: true, keywords: [AT_MOST_ONE], formats: TEXT_FORMATS })
  t.ok(ajv.validateSchema(validationSchema(every)), ajv.errorsText())
  t.doesNotThrow(() => ajv.compile(validationSchema(every)))
})
