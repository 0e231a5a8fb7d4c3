import t from 'tap'
import { createPasswordStrength } from '../../../auth-svc/passwords/password-strength.ts'

const strength = createPasswordStrength()
t.teardown(() => strength.close())
const owner = { email: 'ada.lovelace@analytical.example', name: 'Ada King' }

const STRONG = [
  'plum-Trombone-41',
  'correct horse battery staple',
  'q3LxP9vT2z',
  'пароль который никто не знает',
  // Strong in a later part.
  `${'a'.repeat(32)}q3LxP9vT2z!w`,
]
for (const password of STRONG) {
  t.test(`strong: ${password}`, async t => {
    t.equal(await strength.complaintAbout(password, owner), undefined)
  })
}

const WEAK: [password: string, complaint: RegExp][] = [
  ['password', /common/],
  ['Password1', /common/],
  ['qwertyuiop', /common|keyboard|rows/i],
  ['aaaaaaaaaaaa', /repeated/i],
  ['abcabcabcabc', /repeated/i],
  ['12345678', /common/],
  ['ada.lovelace', /personal/],
  ['Lovelace1815', /personal/],
  ['analytical1', /personal/],
  ['a'.repeat(256), /repeated/i],
]
for (const [password, complaint] of WEAK) {
  t.test(`easy to guess: ${password.slice(0, 40)}`, async t => {
    t.match(await strength.complaintAbout(password, owner), complaint)
  })
}

t.test('what is personal to one is not to another', async t => {
  const password = owner.email
  t.type(await strength.complaintAbout(password, owner), 'string')
  t.equal(await strength.complaintAbout(password, { email: 'bob@example.com', name: 'Bob' }), undefined)
})

t.test('nor is a long address hard to guess for being long', async t => {
  const email = '19e020ac-de26-4994-9f6d-4e26f2ba2da8@analytical.example'
  for (const password of [email, email.toUpperCase(), `1${email}`, `${email}${email}1234`, email.slice(0, 36)]) {
    t.type(await strength.complaintAbout(password, { email, name: '' }), 'string', password)
  }
  t.equal(await strength.complaintAbout(`${email} q3LxP9vT2z`, { email, name: '' }), undefined)
})

t.test('many at once are each answered about their own', async t => {
  const asked = [...STRONG, ...WEAK.map(([password]) => password)]
  const answers = await Promise.all(asked.map(password => strength.complaintAbout(password, owner)))
  t.same(
    answers.map(answer => answer === undefined),
    asked.map((_, index) => index < STRONG.length),
  )
})
