import { randomBytes } from 'node:crypto'
import bcrypt from '@node-rs/bcrypt'
import fc from 'fast-check'
import t from 'tap'
import { createBcryptPool } from '../../../auth-svc/passwords/bcrypt-pool.ts'
import { createBoundedQueue } from '../../../auth-svc/passwords/bounded-queue.ts'
import { CURRENT_SCHEME, createPasswordHasher } from '../../../auth-svc/passwords/password-hasher.ts'

const pepper = randomBytes(32)
const queue = createBoundedQueue({ concurrency: 2, maxWaiting: 1000 })
const bcryptPool = createBcryptPool()
const hasher = await createPasswordHasher({ pepper, cost: 4, bcrypt: bcryptPool, queue })

t.test('only the password itself verifies against its hash', async t => {
  const password = fc.string({ unit: 'binary', maxLength: 300, size: 'max' })
  await fc.assert(
    fc.asyncProperty(password, password, async (one, other) => {
      const stored = await hasher.hash(one)
      const same = await hasher.verify(one, stored)
      const different = await hasher.verify(other, stored)
      return same.matches && different.matches === Buffer.from(one).equals(Buffer.from(other))
    }),
    { numRuns: 100 },
  )
  t.pass()
})

const SIMILAR_PASSWORDS: [difference: string, one: string, other: string][] = [
  ['the 73rd byte', `${'x'.repeat(72)}a`, `${'x'.repeat(72)}b`],
  ['what follows the first 72 bytes', 'x'.repeat(72), 'x'.repeat(73)],
  ['the last of 256 characters', `${'x'.repeat(255)}a`, `${'x'.repeat(255)}b`],
  ['what follows a NUL', 'secret\0one', 'secret\0two'],
  ['a NUL at the end', 'secret', 'secret\0'],
  ['a single NUL', '', '\0'],
  ['case', 'Secret', 'secret'],
  ['Unicode normalization', 'caf\u00e9', 'cafe\u0301'],
  ['trailing white space', 'secret', 'secret '],
]
for (const [difference, one, other] of SIMILAR_PASSWORDS) {
  t.test(`two passwords that differ in ${difference} have different hashes`, async t => {
    const stored = await hasher.hash(one)
    t.match(await hasher.verify(one, stored), { matches: true })
    t.match(await hasher.verify(other, stored), { matches: false })
  })
}

t.test('a password does not verify with another pepper', async t => {
  const stored = await hasher.hash('secret')
  const otherHasher = await createPasswordHasher({ pepper: randomBytes(32), cost: 4, bcrypt: bcryptPool, queue })
  t.match(await otherHasher.verify('secret', stored), { matches: false })
})

t.test('a hash is bcrypt of the configured cost with a random salt', async t => {
  const [one, other] = await Promise.all([hasher.hash('secret'), hasher.hash('secret')])
  t.match(one, { scheme: CURRENT_SCHEME, hash: /^\$2b\$04\$/ })
  t.not(one?.hash, other?.hash)
  const strict = await createPasswordHasher({ pepper, cost: 12, bcrypt: bcryptPool, queue })
  t.match(await strict.hash('secret'), { hash: /^\$2b\$12\$/ })
})

for (const version of ['2a', '2b', '2y'] as const) {
  t.test(`an imported $${version}$ hash verifies and is outdated`, async t => {
    const stored = { scheme: 'bcrypt', hash: (await bcrypt.hash('secret', 5)).replace('$2b$', `$${version}$`) }
    t.same(await hasher.verify('secret', stored), { matches: true, outdated: true })
    t.match(await hasher.verify('other', stored), { matches: false })
  })
}

t.test('a hash is outdated if its cost is lower than the configured cost', async t => {
  const weak = await hasher.hash('secret')
  const strict = await createPasswordHasher({ pepper, cost: 5, bcrypt: bcryptPool, queue })
  const strong = await strict.hash('secret')
  t.same(await strict.verify('secret', weak), { matches: true, outdated: true })
  t.same(await strict.verify('secret', strong), { matches: true, outdated: false })
  t.same(await hasher.verify('secret', strong), { matches: true, outdated: false })
})

t.test('verifying without an account fails after the same amount of work', async t => {
  // 2^11 rounds take far more CPU time than the noise of a machine.
  const slow = await createPasswordHasher({ pepper, cost: 11, bcrypt: bcryptPool, queue })
  const stored = await slow.hash('secret')
  const cpuOf = async (work: () => Promise<unknown>) => {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  const wrong = await cpuOf(() => slow.verify('other', stored))
  const unknown = await cpuOf(async () => {
    t.match(await slow.verify('other', undefined), { matches: false })
  })
  t.ok(unknown > wrong / 2, `${unknown} us of CPU without an account, ${wrong} us with a wrong password`)
})

t.test('an unknown password scheme is an error, not a wrong password', async t => {
  await t.rejects(hasher.verify('secret', { scheme: 'md5', hash: 'x' }), { message: /md5/ })
})
