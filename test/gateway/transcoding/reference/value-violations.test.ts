import { type DescMessage, fromJson, type JsonValue } from '@bufbuild/protobuf'
import t from 'tap'
import { findValueViolations } from '../../../../gateway/transcoding/reference/value-violations.ts'
import { everyFieldContract } from '../../../support/every-field.ts'

const contract = everyFieldContract()
const every = contract.getMessage('every.v1.Every') as DescMessage

/** Calls findValueViolations as the codec does: only if @bufbuild/protobuf fails to parse. */
function violationsOf(schema: DescMessage, json: JsonValue) {
  try {
    fromJson(schema, json, { registry: contract })
    return []
  } catch (error) {
    return findValueViolations(schema, json, contract, error)
  }
}

const TOO_LARGE = '9223372036854775808'

const CASES: Record<string, { json: JsonValue; field: string; description: RegExp }> = {
  'a number in a message': {
    json: { scalars: { a_int64: TOO_LARGE } },
    field: 'scalars.aInt64',
    description: /^expected bigint \(int64\): 9223372036854775808 out of range$/,
  },
  'an entry of a list': {
    json: { scalarLists: { aInt64: ['1', TOO_LARGE, '2'] } },
    field: 'scalarLists.aInt64[1]',
    description: /^expected bigint \(int64\): .* out of range$/,
  },
  'a value of a map': {
    json: { scalarMaps: { aInt64: { fine: '1', 'not fine': TOO_LARGE } } },
    field: 'scalarMaps.aInt64[not fine]',
    description: /^expected bigint \(int64\): .* out of range$/,
  },
  'a key of a map': {
    json: { mapKeys: { aInt32: { '1': true, '2147483648': true } } },
    field: 'mapKeys.aInt32[2147483648]',
    description: /^invalid map key: /,
  },
  'a map with one key in two spellings': {
    json: { mapKeys: { aInt32: { '1': true, '01': true } } },
    field: 'mapKeys.aInt32',
    description: /^duplicate map key "01"$/,
  },
  'a string in a map of messages in a list of messages': {
    json: { names: { hasOwnProperty: [{}, { map: { k: { toString: '\ud800' } } }] } },
    field: 'names.hasOwnProperty[1].map[k].toString',
    description: /^expected string: invalid UTF8$/,
  },
  'a timestamp before the year 1': {
    json: { wellKnownLists: { timestamp: ['2026-01-01T00:00:00Z', '0000-01-01T00:00:00Z'] } },
    field: 'wellKnownLists.timestamp[1]',
    description: /^must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z inclusive$/,
  },
  'an Any of an unknown type': {
    json: { wellKnown: { any: { '@type': 'type.example/unknown.Type' } } },
    field: 'wellKnown.any',
    description: /is not in the type registry$/,
  },
  'the value of a wrapper': {
    json: { wellKnown: { int32value: '2147483648' } },
    field: 'wellKnown.int32value',
    description: /^expected number \(int32\): 2147483648 out of range$/,
  },
}

for (const [title, { json, field, description }] of Object.entries(CASES)) {
  t.test(`the violation has the path of ${title}`, async t => {
    t.match(violationsOf(every, json), [{ field, description }])
    t.equal(violationsOf(every, json).length, 1)
  })
}

t.test('findValueViolations reports every invalid value, up to 100', async t => {
  t.same(
    violationsOf(every, { scalars: { aInt64: TOO_LARGE, aInt32: '1.5' }, choice: { aNumber: TOO_LARGE } }).map(
      violation => violation.field,
    ),
    ['scalars.aInt32', 'scalars.aInt64', 'choice.aNumber'],
  )
  t.equal(violationsOf(every, { scalarLists: { aInt64: Array.from({ length: 500 }, () => TOO_LARGE) } }).length, 100)
})

t.test('a well-known type as the request is a violation of the body', async t => {
  const timestamp = contract.getMessage('google.protobuf.Timestamp') as DescMessage
  t.match(violationsOf(timestamp, '0000-01-01T00:00:00Z'), [{ field: 'body', description: /^must be from/ }])
})
