import fc from 'fast-check'
import t from 'tap'
import { portablePattern } from '../../../gateway/contract/portable-pattern.ts'
import { assertProperty } from '../../support/property.ts'

/** Syntax that ECMA-262, Python, RE2 and Rust share: no escapes of letters other than \xHH, \n, \r, \t, \f and \v. */
const SHARED = /^(?:[^\\]|\\(?:x[0-9a-f]{2}|[nrtfv]|[\\^$.*+?()[\]{}|-]))*$/u

t.test('a pattern is rewritten to the syntax that regular expression dialects share', t => {
  const rewritten: [pattern: string, portable: string | undefined][] = [
    ['[^\\p{Cc}]*', '[^\\x00-\\x1f\\x7f-\\x9f]*'],
    ['[^\\p{Cc},]*', '[^\\x00-\\x1f\\x7f-\\x9f,]*'],
    ['\\p{Cc}+', '[\\x00-\\x1f\\x7f-\\x9f]+'],
    ['[^\\0]*', '[^\\x00]*'],
    ['\\d{3}', '[0-9]{3}'],
    ['[\\w\\-]+', '[0-9A-Z_a-z\\-]+'],
    ['a\\/b\\u0041\\u{e9}\\cA', 'a/bA\\xe9\\x01'],
    ['(?<year>\\d)-(?:x|y)', '(?:[0-9])-(?:x|y)'],
    ['\\u{1F600}', '😀'],
    ['[a-z]{1,3}\\.(?:png|gif)', '[a-z]{1,3}\\.(?:png|gif)'],
    ['[\\p{L}&&\\p{ASCII}]', undefined],
    ['[a-z--[aeiou]]', undefined],
    ['(a)\\1', undefined],
    ['(?=a).*', undefined],
    ['\\bword', undefined],
  ]
  for (const [pattern, portable] of rewritten) t.equal(portablePattern(pattern), portable, pattern)
  t.end()
})

t.test('a rewritten pattern matches the same texts', async t => {
  const patterns = [
    '[^\\p{Cc},]*',
    '\\P{L}+',
    '[\\p{Lu}\\d]*',
    '.\\s\\S',
    '[\\W_]+',
    '[^\\s\\/]*',
    '\\p{Script=Greek}+',
  ]
  const text = fc.string({ unit: 'binary' }).map(value => value.toWellFormed())
  for (const pattern of patterns) {
    const portable = portablePattern(pattern) ?? ''
    t.match(portable, SHARED, pattern)
    const [before, after] = [new RegExp(`^(?:${pattern})$`, 'v'), new RegExp(`^(?:${portable})$`, 'u')]
    const value = fc.oneof(
      text,
      text.map(value => Array.from(value)[0] ?? ''),
    )
    await assertProperty(
      t,
      fc.property(value, value => before.test(value) === after.test(value)),
      { numRuns: 500 },
    )
  }
})
