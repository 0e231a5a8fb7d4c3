import t from 'tap'
import { findNul } from '#runtime/grpc/nul-check.ts'
import { MAX_VIOLATIONS } from '#runtime/status.ts'

const fieldsOf = (message: object) => findNul(message).map(({ field }) => field)

t.test(
  'NUL is found in strings at any depth, in lists, in maps and in their keys, with the path of the field',
  async t => {
    const cases: [object, string[]][] = [
      [{ text: 'a', number: 1, flag: true, none: undefined, nothing: null }, []],
      [{ text: '\0' }, ['text']],
      [{ text: 'a\0b', other: '\0' }, ['text', 'other']],
      [{ list: ['a', 'b\0'] }, ['list[1]']],
      [{ nested: { list: [{ text: '\0' }] } }, ['nested.list[0].text']],
      [{ map: { key: '\0' } }, ['map.key']],
      [{ map: { 'k\0': 'value' } }, ['map']],
      [{ choice: { $case: 'left', value: '\0' } }, ['left']],
      [{ nested: { choice: { $case: 'right', value: { text: '\0' } } } }, ['nested.right.text']],
      [{ octets: new Uint8Array(2), time: new Date(0) }, []],
    ]
    for (const [message, fields] of cases) t.same(fieldsOf(message), fields, JSON.stringify(message))
  },
)

t.test(`at most ${MAX_VIOLATIONS} violations are reported`, async t => {
  t.equal(fieldsOf({ list: Array(1000).fill('\0') }).length, MAX_VIOLATIONS)
})
