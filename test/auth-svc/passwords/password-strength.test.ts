import path from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createPasswordStrength } from '../../../auth-svc/passwords/password-strength.ts'

const strength = createPasswordStrength()
t.teardown(() => strength.close())
const owner = { email: 'ada.lovelace@analytical.example', name: 'Ada King' }

const STRONG = [
  'plum-Trombone-41',
  'correct horse battery staple',
  'q3LxP9vT2z',
  'пароль который никто не знает',
  // Its second part is strong.
  `${'a'.repeat(32)}q3LxP9vT2z!w`,
]
for (const password of STRONG) {
  t.test(`the password "${password}" is strong enough`, async t => {
    t.equal(await strength.findWeakness(password, owner), undefined)
  })
}

const WEAK: [password: string, weakness: RegExp][] = [
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
for (const [password, weakness] of WEAK) {
  t.test(`the password "${password.slice(0, 40)}" is weak`, async t => {
    t.match(await strength.findWeakness(password, owner), weakness)
  })
}

t.test('a password made of personal data is weak for that user only', async t => {
  const password = owner.email
  t.type(await strength.findWeakness(password, owner), 'string')
  t.equal(await strength.findWeakness(password, { email: 'bob@example.com', name: 'Bob' }), undefined)
})

t.test('a long e-mail address as password is weak', async t => {
  const email = '19e020ac-de26-4994-9f6d-4e26f2ba2da8@analytical.example'
  for (const password of [email, email.toUpperCase(), `1${email}`, `${email}${email}1234`, email.slice(0, 36)]) {
    t.type(await strength.findWeakness(password, { email, name: '' }), 'string', password)
  }
  t.equal(await strength.findWeakness(`${email} q3LxP9vT2z`, { email, name: '' }), undefined)
})

t.test('concurrent checks return the result of their own password', async t => {
  const passwords = [...STRONG, ...WEAK.map(([password]) => password)]
  const weaknesses = await Promise.all(passwords.map(password => strength.findWeakness(password, owner)))
  t.same(
    weaknesses.map(weakness => weakness === undefined),
    passwords.map((_, index) => index < STRONG.length),
  )
})

t.test(
  'a thread that crashes, exits or hangs fails its check with UNAVAILABLE, and the next check succeeds',
  async t => {
    const folder = t.testdir({
      'crashing-worker.mjs': `
      import { parentPort } from 'node:worker_threads'
      parentPort.on('message', ({ password }) => {
        if (password === 'exit') process.exit(0)
        if (password === 'throw') throw new Error('crash')
        if (password === 'close') parentPort.close()
        else if (password === 'hang') for (;;);
        else parentPort.postMessage({ weakness: 'weak ' + password })
      })`,
    })
    const crashing = createPasswordStrength({
      module: pathToFileURL(path.join(folder, 'crashing-worker.mjs')),
      timeoutMs: 5000,
    })
    t.teardown(() => crashing.close())
    const check = (password: string) => crashing.findWeakness(password, owner)
    const causes = { exit: /exited with code 0/, throw: /^crash$/, close: /exited with code/, hang: /did not respond/ }
    for (const [end, message] of Object.entries(causes)) {
      const [failed, waiting] = await Promise.allSettled([check(end), check('next')])
      t.match(failed, { status: 'rejected', reason: { code: Code.UNAVAILABLE, cause: { message } } }, end)
      t.match(waiting, { status: 'fulfilled', value: 'weak next' }, `the check after "${end}"`)
    }
  },
)

t.test('close rejects a pending check', async t => {
  const closing = createPasswordStrength()
  const pending = closing.findWeakness('plum-Trombone-41', owner)
  await closing.close()
  await t.rejects(pending, { code: Code.UNAVAILABLE })
})
