import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import t from 'tap'
import { compileStructureCheck } from '../../../../gateway/transcoding/reference/structure-check.ts'
import { buildContract } from '../../../support/contract.ts'
import { everyFieldContract } from '../../../support/every-field.ts'

const contract = everyFieldContract()
const check = compileStructureCheck(contract.getMessage('every.v1.Every') as DescMessage)

const CASES: { title: string; json: JsonValue; field: string; description: string }[] = [
  { title: 'an array instead of an object', json: [], field: 'body', description: 'must be an object' },
  { title: 'null instead of an object', json: null, field: 'body', description: 'must be an object' },
  { title: 'an unknown field', json: { unknown: 1 }, field: 'unknown', description: 'is not known' },
  { title: 'an unknown nested field', json: { names: { x: 1 } }, field: 'names.x', description: 'is not known' },
  {
    title: 'an unknown field in a list of messages',
    json: { names: { has_own_property: [{}, { x: 1 }] } },
    field: 'names.hasOwnProperty[1].x',
    description: 'is not known',
  },
  {
    title: 'an unknown field in a map of messages',
    json: { names: { map: { 'a/b~c': { x: 1 } } } },
    field: 'names.map[a/b~c].x',
    description: 'is not known',
  },
  {
    title: 'a value of the wrong type, by the proto name',
    json: { scalars: { a_string: 1 } },
    field: 'scalars.aString',
    description: 'must be a string',
  },
  {
    title: 'a fraction for an integer',
    json: { scalars: { aInt32: 1.5 } },
    field: 'scalars.aInt32',
    description: 'must be an integer from -2147483648 to 2147483647',
  },
  {
    title: 'text for a number',
    json: { scalars: { aUint64: 'many' } },
    field: 'scalars.aUint64',
    description: 'must be an unsigned 64-bit integer',
  },
  {
    title: 'a string for a boolean',
    json: { scalars: { aBool: 'true' } },
    field: 'scalars.aBool',
    description: 'must be true or false',
  },
  {
    title: 'text that is not base64',
    json: { scalars: { aBytes: '?' } },
    field: 'scalars.aBytes',
    description: 'must be base64',
  },
  {
    title: 'an unknown enum name',
    json: { enums: { shade: 'SHADE_PINK' } },
    field: 'enums.shade',
    description: 'must be one of SHADE_UNSPECIFIED, SHADE_DARK, SHADE_NEGATIVE',
  },
  {
    title: 'an unknown number of a closed enum',
    json: { closed: { size: 3 } },
    field: 'closed.size',
    description: 'must be one of SMALL, LARGE',
  },
  {
    title: 'null in a list',
    json: { scalarLists: { aString: ['x', null] } },
    field: 'scalarLists.aString[1]',
    description: 'must be a string',
  },
  {
    title: 'null in a map of messages',
    json: { names: { map: { k: null } } },
    field: 'names.map[k]',
    description: 'must be an object',
  },
  {
    title: 'a single value for a list',
    json: { scalarLists: { aString: 'x' } },
    field: 'scalarLists.aString',
    description: 'must be an array',
  },
  {
    title: 'a map key of the wrong type',
    json: { mapKeys: { aInt32: { one: true } } },
    field: 'mapKeys.aInt32[one]',
    description: 'has a key that is not an integer',
  },
  {
    title: 'text that is not a timestamp',
    json: { wellKnown: { timestamp: 'yesterday' } },
    field: 'wellKnown.timestamp',
    description: 'must be a timestamp such as 2026-01-31T23:59:59Z',
  },
  ...['2026-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2026-04-31T00:00:00Z', '2026-01-31T24:00:00Z'].map(
    timestamp => ({
      title: `the impossible date ${timestamp}`,
      json: { wellKnown: { timestamp } },
      field: 'wellKnown.timestamp',
      description: 'must be a timestamp such as 2026-01-31T23:59:59Z',
    }),
  ),
  {
    title: 'a duration without a unit',
    json: { wellKnown: { duration: '1' } },
    field: 'wellKnown.duration',
    description: 'must be a duration in seconds such as 1.5s',
  },
  {
    title: 'an Any whose @type is not a string',
    json: { wellKnown: { any: { '@type': 1 } } },
    field: 'wellKnown.any.@type',
    description: 'must be the URL of a type',
  },
  {
    title: 'a field under both its names',
    json: { mapKeys: { aInt32: {}, a_int32: {} } },
    field: 'mapKeys.aInt32',
    description: 'is given twice, as aInt32 and as a_int32',
  },
  {
    title: 'a field under both its names, one of them null',
    json: { scalars: { aBool: null, a_bool: true } },
    field: 'scalars.aBool',
    description: 'is given twice, as aBool and as a_bool',
  },
  {
    title: 'two members of a oneof',
    json: { choice: { yes: true, no: true } },
    field: 'choice.no',
    description: 'cannot be given with another of yes, no',
  },
]

for (const { title, json, field, description } of CASES) {
  t.test(`${title} is a violation of ${field}`, async t => {
    t.same(check(json), [{ field, description }])
  })
}

t.test('the structure check reports every invalid field once', async t => {
  const violations = check({
    scalars: { aInt32: 'x', a_bool: 1, unknown: 1 },
    scalarMaps: { aBool: { a: 1, b: true, c: 'x' } },
    choice: { aText: 1, aNumber: 'x' },
  })
  t.same(violations.map(violation => violation.field).sort(), [
    'choice.aNumber',
    'choice.aText',
    'scalarMaps.aBool[a]',
    'scalarMaps.aBool[c]',
    'scalars.aBool',
    'scalars.aInt32',
    'scalars.unknown',
  ])
})

t.test('fields with names that objects inherit are checked like others', async t => {
  t.same(check({ names: {} }), [])
  t.same(check({ names: { toString: 'x', constructor: 'y', 'a/b~c d': 'z' } }), [])
  t.same(check(JSON.parse('{"names": {"__proto__": {}}}')), [{ field: 'names.__proto__', description: 'is not known' }])
  t.same(check({ names: { valueOf: 1 } }), [{ field: 'names.valueOf', description: 'is not known' }])
})

t.test('null means unset, also for a second member of a oneof', async t => {
  t.same(check({ scalars: null, choice: { yes: null, no: true } }), [])
})

t.test('the structure check reports at most 100 violations', async t => {
  const json = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`x${index}`, 1]))
  t.equal(check(json).length, 100)
})

t.test('29 February is accepted in leap years of the Gregorian calendar', async t => {
  for (const year of ['2024', '2000', '0004']) {
    t.same(check({ wellKnown: { timestamp: `${year}-02-29T23:59:59.5+23:59` } }), [], year)
  }
})

t.test('12 megabytes of base64 are accepted', async t => {
  t.same(check({ scalars: { aBytes: 'A'.repeat(12_000_000) } }), [])
})

t.test('a well-known type as the request is checked in its special form', async t => {
  const stamped = buildContract({
    's.proto': `
      syntax = "proto3";
      import "google/protobuf/timestamp.proto";
      message Stamped { google.protobuf.Timestamp at = 1; }`,
  })
  const timestamp = stamped.getMessage('google.protobuf.Timestamp') as DescMessage
  t.same(compileStructureCheck(timestamp)('2026-01-31T23:59:59Z'), [])
  t.same(compileStructureCheck(timestamp)({}), [
    { field: 'body', description: 'must be a timestamp such as 2026-01-31T23:59:59Z' },
  ])
})
