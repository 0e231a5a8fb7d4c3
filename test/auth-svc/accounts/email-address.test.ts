import fc from 'fast-check'
import t from 'tap'
import { normalizeEmail } from '../../../auth-svc/accounts/email-address.ts'

const NORMALIZED: [given: string, expected: string | undefined, reason: string][] = [
  ['ada@example.com', 'ada@example.com', 'a normalized address is unchanged'],
  ['Ada.Lovelace@Example.COM', 'ada.lovelace@example.com', 'upper case is lower-cased'],
  ['ada+list@example.com', 'ada+list@example.com', 'a tag is kept'],
  ['a.d.a@example.com', 'a.d.a@example.com', 'dots are kept'],
  ['ＡＤＡ@example.com', 'ada@example.com', 'full-width letters become ASCII'],
  ['ada@EXAMPLE．com', 'ada@example.com', 'a full-width dot becomes a dot'],
  ['ada＠example.com', 'ada@example.com', 'a full-width @ becomes an @'],
  ['ada@Bücher.example', 'ada@xn--bcher-kva.example', 'a domain is converted to its ASCII form'],
  ['ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example', 'a domain in its ASCII form is unchanged'],
  ['ada@BU\u0308CHER.example', 'ada@xn--bcher-kva.example', 'a decomposed letter in the domain is composed'],
  ['rene\u0301@example.com', 'ren\u00e9@example.com', 'a decomposed letter in the local part is composed'],
  ['\u0130@example.com', 'i\u0307@example.com', 'a letter whose lower case has two code points'],
  ['o"x"@y@example.com', 'o"x"@y@example.com', 'the last @ separates the domain'],
  ['', undefined, 'the empty string is rejected'],
  ['ada', undefined, 'an address without @ is rejected'],
  ['@example.com', undefined, 'an address without local part is rejected'],
  ['ada@', undefined, 'an address without domain is rejected'],
  ['ada@exa mple.com', undefined, 'a space in the domain is rejected'],
  ['a da@example.com', undefined, 'a space in the local part is rejected'],
  ['ada\u0000@example.com', undefined, 'a NUL is rejected'],
  [`${'a'.repeat(243)}@example.com`, undefined, '255 characters are rejected'],
  [`${'a'.repeat(242)}@example.com`, `${'a'.repeat(242)}@example.com`, '254 characters are accepted'],
]

for (const [given, expected, reason] of NORMALIZED) {
  t.test(`${reason}: ${JSON.stringify(given).slice(0, 60)}`, async t => {
    t.equal(normalizeEmail(given), expected)
  })
}

t.test('normalizing an e-mail address twice gives the same result as once', async t => {
  const address = fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.domain()).map(parts => parts.join('@'))
  fc.assert(
    fc.property(address, given => {
      const once = normalizeEmail(given)
      return once === undefined || normalizeEmail(once) === once
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('e-mail addresses that differ only in case are equal after normalization', async t => {
  fc.assert(
    fc.property(fc.emailAddress(), given => normalizeEmail(given.toUpperCase()) === normalizeEmail(given)),
    { numRuns: 500 },
  )
  t.pass()
})
