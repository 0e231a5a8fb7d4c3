import type { DescMessage } from '@bufbuild/protobuf'
import t from 'tap'
import { StatusError } from '#runtime/status.ts'
import { assertExactNumbers } from '../../../../gateway/transcoding/binding/exact-numbers.ts'
import { parseJson } from '../../../../gateway/transcoding/binding/json-text.ts'
import type { LossyNumbers } from '../../../../gateway/transcoding/binding/lossy-numbers.ts'
import { everyFieldContract } from '../../../support/every-field.ts'

const every = everyFieldContract().getMessage('every.v1.Every') as DescMessage

/** Returns the fields of the violations. */
function violatedFields(text: string): string[] {
  const lossy: LossyNumbers = new Map()
  const json = parseJson(Buffer.from(text), lossy)
  try {
    assertExactNumbers(every, json, lossy)
    return []
  } catch (error) {
    if (error instanceof StatusError) return error.violations.map(({ field }) => field)
    throw error
  }
}

const LONG = '9007199254740993'

t.test(
  'a number that a double rounds or cannot hold is rejected where the message would get another value',
  async t => {
    const cases: Record<string, string> = {
      [`{"scalars": {"a_int64": ${LONG}}}`]: 'scalars.aInt64',
      [`{"scalars": {"aFixed64": ${LONG}}}`]: 'scalars.aFixed64',
      [`{"scalars": {"aInt64": ${LONG}.0}}`]: 'scalars.aInt64',
      '{"scalars": {"aInt64": 9.007199254740993e15}}': 'scalars.aInt64',
      [`{"scalarLists": {"aUint64": [1, ${LONG}]}}`]: 'scalarLists.aUint64[1]',
      [`{"scalarMaps": {"aSint64": {"k": ${LONG}}}}`]: 'scalarMaps.aSint64[k]',
      [`{"names": {"map": {"k": {"hasOwnProperty": [{}, {"x": 1e999}]}}}}`]: 'names.map[k].hasOwnProperty[1].x',
      [`{"wellKnown": {"int64value": ${LONG}}}`]: 'wellKnown.int64value',
      [`{"wellKnownLists": {"uint64value": [${LONG}]}}`]: 'wellKnownLists.uint64value[0]',
      [`{"wellKnown": {"any": {"@type": "x/y.Z", "value": [${LONG}]}}}`]: 'wellKnown.any.value[0]',
      [`{"wellKnown": {"struct": {"a": [1, 1e999]}}}`]: 'wellKnown.struct.a[1]',
      '{"scalars": {"aDouble": -1e999}}': 'scalars.aDouble',
    }
    for (const [text, field] of Object.entries(cases)) t.same(violatedFields(text), [field], text)
  },
)

t.test('a rounded number is accepted in double fields, and in google.protobuf.Value and Struct', async t => {
  t.same(violatedFields('{"scalars": {"aDouble": 12345678901234567000, "aInt64": 1e3}}'), [])
  t.same(violatedFields(`{"wellKnown": {"value": ${LONG}, "struct": {"a": ${LONG}}, "doublevalue": ${LONG}}}`), [])
})

t.test('assertExactNumbers reports at most 100 violations', async t => {
  t.equal(
    violatedFields(`{"scalarLists": {"aInt64": [${Array.from({ length: 500 }, () => LONG).join(',')}]}}`).length,
    100,
  )
})

t.test('numbers with a million digits are checked in linear time', async t => {
  const zeros = '0'.repeat(1_000_000)
  t.same(violatedFields(`{"scalars": {"aInt64": 1.${zeros}1}}`), ['scalars.aInt64'])
  t.same(violatedFields(`{"scalars": {"aInt64": 1.${zeros}}}`), [])
  t.same(violatedFields(`{"scalars": {"aInt64": 0.${zeros}1e${zeros.length + 1}}}`), [])
  t.same(violatedFields(`{"scalars": {"aInt64": 0.${zeros}9007199254740993e${zeros.length + 16}}}`), ['scalars.aInt64'])
  t.same(violatedFields(`{"scalars": {"aInt64": 1${zeros}1e-${zeros.length + 1}}}`), ['scalars.aInt64'])
  t.same(violatedFields(`{"scalars": {"aInt64": ${zeros.replaceAll('0', '7')}}}`), ['scalars.aInt64'])
})
