import { RE2JS } from 're2js'
import t from 'tap'
import { portableRe2 } from '../../../../gateway/contract/validation/re2-pattern.ts'

const TEXTS = [
  '',
  'a',
  'A',
  'abc',
  '1',
  '١',
  ' ',
  '\u00a0',
  '\n',
  '\r',
  'é',
  '_',
  '-',
  ']',
  '[',
  'a]',
  '^',
  '.',
  'a\nb',
  'σ',
]

const PORTABLE = [
  '^[a-z]+$',
  '\\d',
  '^\\w*$',
  '\\s',
  '\\S',
  '^\\D+$',
  '^.$',
  'a.b',
  '[\\d_]',
  '[^\\s]',
  '[]a]',
  '[^]a]',
  '[a-z-]',
  '[.]',
  '^(?P<first>a)(?:b|c)*$',
  '\\Aabc\\z',
  '\\x41',
  '\\x{e9}',
  '\\p{L}',
  '[\\p{Lu}]',
  '^a{1,3}?$',
  '\\.',
  'a|^$',
]

for (const pattern of PORTABLE) {
  t.test(`the JSON Schema pattern of ${pattern} matches what RE2 matches`, async t => {
    const portable = portableRe2(pattern)
    t.type(portable, 'string')
    const [re2, ecma] = [RE2JS.compile(pattern), new RegExp(portable ?? '', 'u')]
    for (const text of TEXTS) t.equal(ecma.test(text), re2.test(text), JSON.stringify(text))
  })
}

const WITHOUT_COUNTERPART = [
  '(?i)a',
  '(?s:.)',
  '[[:alpha:]]',
  '\\ba',
  '\\Qa.b\\E',
  '\\C',
  '\\pN',
  '\\p{Greek}',
  '[\\D]',
  'a{,2}',
]

for (const pattern of WITHOUT_COUNTERPART) {
  t.test(`${pattern} has no JSON Schema pattern`, async t => {
    RE2JS.compile(pattern === '\\C' ? 'a' : pattern)
    t.equal(portableRe2(pattern), undefined)
  })
}
