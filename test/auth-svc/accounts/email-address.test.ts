import fc from 'fast-check'
import t from 'tap'
import { normalizeEmail } from '../../../auth-svc/accounts/email-address.ts'

const NORMALIZED: [given: string, expected: string | undefined, why: string][] = [
  ['ada@example.com', 'ada@example.com', 'what is normal stays'],
  ['Ada.Lovelace@Example.COM', 'ada.lovelace@example.com', 'case is no difference'],
  ['ada+list@example.com', 'ada+list@example.com', 'a tag is another address'],
  ['a.d.a@example.com', 'a.d.a@example.com', 'so is a dot'],
  ['ＡＤＡ@example.com', 'ada@example.com', 'full-width letters are letters'],
  ['ada@EXAMPLE．com', 'ada@example.com', 'and a full-width dot is a dot'],
  ['ada＠example.com', 'ada@example.com', 'a full-width @ is an @'],
  ['ada@Bücher.example', 'ada@xn--bcher-kva.example', 'a domain is in its ASCII form'],
  ['ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example', 'in which it may be given'],
  ['ada@BU\u0308CHER.example', 'ada@xn--bcher-kva.example', 'a composed letter is one letter'],
  ['rene\u0301@example.com', 'ren\u00e9@example.com', 'in the local part too'],
  ['\u0130@example.com', 'i\u0307@example.com', 'a letter whose lower case is two'],
  ['o"x"@y@example.com', 'o"x"@y@example.com', 'the last @ counts'],
  ['', undefined, 'nothing'],
  ['ada', undefined, 'no @'],
  ['@example.com', undefined, 'no local part'],
  ['ada@', undefined, 'no domain'],
  ['ada@exa mple.com', undefined, 'a space in the domain'],
  ['a da@example.com', undefined, 'a space in the local part'],
  ['ada\u0000@example.com', undefined, 'a NUL'],
  [`${'a'.repeat(243)}@example.com`, undefined, '255 characters'],
  [`${'a'.repeat(242)}@example.com`, `${'a'.repeat(242)}@example.com`, '254 characters'],
]

for (const [given, expected, why] of NORMALIZED) {
  t.test(`${JSON.stringify(given).slice(0, 60)}: ${why}`, async t => {
    t.equal(normalizeEmail(given), expected)
  })
}

t.test('what is normalised is normal', async t => {
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

t.test('neither case nor width makes another address', async t => {
  fc.assert(
    fc.property(fc.emailAddress(), given => normalizeEmail(given.toUpperCase()) === normalizeEmail(given)),
    { numRuns: 500 },
  )
  t.pass()
})
