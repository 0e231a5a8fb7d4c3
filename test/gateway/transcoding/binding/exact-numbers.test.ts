import { createFileRegistry, type DescMessage } from '@bufbuild/protobuf'
import t from 'tap'
import { StatusError } from '#runtime/status.ts'
import { restoreExactNumbers } from '../../../../gateway/transcoding/binding/exact-numbers.ts'
import { parseJson } from '../../../../gateway/transcoding/binding/json-text.ts'
import type { LossyNumbers } from '../../../../gateway/transcoding/binding/lossy-numbers.ts'
import { everyFieldContract } from '../../../support/every-field.ts'

const contract = everyFieldContract()
const every = contract.getMessage('every.v1.Every') as DescMessage

/** Returns the JSON after the check. @throws StatusError with the violations. */
function restored(text: string, registry = contract): unknown {
  const lossy: LossyNumbers = new Map()
  const json = parseJson(Buffer.from(text), lossy)
  restoreExactNumbers(every, json, lossy, registry)
  return json
}

/** Returns the fields of the violations. */
function violatedFields(text: string): string[] {
  try {
    restored(text)
    return []
  } catch (error) {
    if (error instanceof StatusError) return error.violations.map(({ field }) => field)
    throw error
  }
}

const LONG = '9007199254740993'

t.test('an integer that a double rounds is exact in a field of 64-bit integers', async t => {
  const any = (content: string) => `{"wellKnown": {"any": {"@type": "x/${content}}}}`
  const cases: Record<string, string> = {
    [`{"scalars": {"a_int64": ${LONG}}}`]: `{"scalars": {"a_int64": "${LONG}"}}`,
    [`{"scalars": {"aFixed64": -${LONG}, "aDouble": ${LONG}}}`]: `{"scalars": {"aFixed64": "-${LONG}", "aDouble": ${LONG}}}`,
    [`{"scalars": {"aInt64": ${LONG}.0}}`]: `{"scalars": {"aInt64": "${LONG}"}}`,
    '{"scalars": {"aInt64": 9.007199254740993e15}}': `{"scalars": {"aInt64": "${LONG}"}}`,
    '{"scalars": {"aUint64": 18446744073709551615}}': '{"scalars": {"aUint64": "18446744073709551615"}}',
    [`{"scalarLists": {"aUint64": [1, ${LONG}]}}`]: `{"scalarLists": {"aUint64": [1, "${LONG}"]}}`,
    [`{"scalarMaps": {"aSint64": {"k": ${LONG}}}}`]: `{"scalarMaps": {"aSint64": {"k": "${LONG}"}}}`,
    [`{"wellKnown": {"int64value": ${LONG}}}`]: `{"wellKnown": {"int64value": "${LONG}"}}`,
    [`{"wellKnownLists": {"uint64value": [${LONG}]}}`]: `{"wellKnownLists": {"uint64value": ["${LONG}"]}}`,
    [any(`every.v1.Scalars", "aInt64": ${LONG}, "aDouble": ${LONG}`)]: any(
      `every.v1.Scalars", "aInt64": "${LONG}", "aDouble": ${LONG}`,
    ),
    [any(`google.protobuf.Int64Value", "value": ${LONG}`)]: any(`google.protobuf.Int64Value", "value": "${LONG}"`),
    [any(`google.protobuf.Value", "value": [${LONG}]`)]: any(`google.protobuf.Value", "value": [${LONG}]`),
    [any(`google.protobuf.Any", "value": {"@type": "x/every.v1.Scalars", "aInt64": ${LONG}}`)]: any(
      `google.protobuf.Any", "value": {"@type": "x/every.v1.Scalars", "aInt64": "${LONG}"}`,
    ),
  }
  const registry = createFileRegistry(contract)
  for (const [text, expected] of Object.entries(cases)) t.same(restored(text, registry), JSON.parse(expected), text)
})

t.test('a number that is not the integer of its field, or that a double cannot hold, is rejected', async t => {
  const cases: Record<string, string> = {
    [`{"scalars": {"aInt64": ${LONG}.5}}`]: 'scalars.aInt64',
    '{"scalars": {"aInt64": 99999999999999999999}}': 'scalars.aInt64',
    '{"names": {"map": {"k": {"hasOwnProperty": [{}, {"x": 1e999}]}}}}': 'names.map[k].hasOwnProperty[1].x',
    '{"wellKnown": {"struct": {"a": [1, 1e999]}}}': 'wellKnown.struct.a[1]',
    '{"scalars": {"aDouble": -1e999}}': 'scalars.aDouble',
    '{"scalars": {"aInt64": 1e999}}': 'scalars.aInt64',
  }
  for (const [text, field] of Object.entries(cases)) t.same(violatedFields(text), [field], text)
})

t.test('a rounded number is accepted in double fields, and in google.protobuf.Value and Struct', async t => {
  t.same(violatedFields('{"scalars": {"aDouble": 12345678901234567000, "aInt64": 1e3}}'), [])
  t.same(violatedFields(`{"wellKnown": {"value": ${LONG}, "struct": {"a": ${LONG}}, "doublevalue": ${LONG}}}`), [])
})

t.test('restoreExactNumbers reports at most 100 violations', async t => {
  const entries = Array.from({ length: 500 }, () => `${LONG}.5`).join(',')
  t.equal(violatedFields(`{"scalarLists": {"aInt64": [${entries}]}}`).length, 100)
})

t.test('numbers with a million digits are checked in linear time', async t => {
  const zeros = '0'.repeat(1_000_000)
  t.same(violatedFields(`{"scalars": {"aInt64": 1.${zeros}1}}`), ['scalars.aInt64'])
  t.same(violatedFields(`{"scalars": {"aInt64": 1.${zeros}}}`), [])
  t.same(violatedFields(`{"scalars": {"aInt64": 0.${zeros}1e${zeros.length + 1}}}`), [])
  t.same(restored(`{"scalars": {"aInt64": 0.${zeros}9007199254740993e${zeros.length + 16}}}`), {
    scalars: { aInt64: LONG },
  })
  t.same(violatedFields(`{"scalars": {"aInt64": 1${zeros}1e-${zeros.length + 1}}}`), ['scalars.aInt64'])
  t.same(violatedFields(`{"scalars": {"aInt64": ${zeros.replaceAll('0', '7')}}}`), ['scalars.aInt64'])
})
