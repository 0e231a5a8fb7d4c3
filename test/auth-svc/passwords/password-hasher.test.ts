import { randomBytes } from 'node:crypto'
import bcrypt from '@node-rs/bcrypt'
import fc from 'fast-check'
import t from 'tap'
import { createBcryptThreads } from '../../../auth-svc/passwords/bcrypt-threads.ts'
import { createBoundedQueue } from '../../../auth-svc/passwords/bounded-queue.ts'
import { CURRENT_SCHEME, createPasswordHasher } from '../../../auth-svc/passwords/password-hasher.ts'

const pepper = randomBytes(32)
const queue = createBoundedQueue({ concurrency: 2, maxWaiting: 1000 })
const threads = createBcryptThreads()
const hasher = await createPasswordHasher({ pepper, cost: 4, threads, queue })

t.test('a password verifies against its hash, and no other does', async t => {
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

const NEAR: [what: string, one: string, other: string][] = [
  ['the 73rd byte', `${'x'.repeat(72)}a`, `${'x'.repeat(72)}b`],
  ['a prefix of 72 bytes', 'x'.repeat(72), 'x'.repeat(73)],
  ['the last of 256 characters', `${'x'.repeat(255)}a`, `${'x'.repeat(255)}b`],
  ['what follows a NUL', 'secret\0one', 'secret\0two'],
  ['a NUL at the end', 'secret', 'secret\0'],
  ['nothing but a NUL', '', '\0'],
  ['case', 'Secret', 'secret'],
  ['composition', 'caf\u00e9', 'cafe\u0301'],
  ['white space', 'secret', 'secret '],
]
for (const [what, one, other] of NEAR) {
  t.test(`${what} tells passwords apart`, async t => {
    const stored = await hasher.hash(one)
    t.match(await hasher.verify(one, stored), { matches: true })
    t.match(await hasher.verify(other, stored), { matches: false })
  })
}

t.test('without the pepper a hash is of no use', async t => {
  const stored = await hasher.hash('secret')
  const stranger = await createPasswordHasher({ pepper: randomBytes(32), cost: 4, threads, queue })
  t.match(await stranger.verify('secret', stored), { matches: false })
})

t.test('a hash is bcrypt of the cost asked for, with a salt of its own', async t => {
  const [one, other] = await Promise.all([hasher.hash('secret'), hasher.hash('secret')])
  t.match(one, { scheme: CURRENT_SCHEME, hash: /^\$2b\$04\$/ })
  t.not(one?.hash, other?.hash)
  const strict = await createPasswordHasher({ pepper, cost: 12, threads, queue })
  t.match(await strict.hash('secret'), { hash: /^\$2b\$12\$/ })
})

for (const version of ['2a', '2b', '2y'] as const) {
  t.test(`a plain $${version}$ hash from elsewhere verifies, and is outdated`, async t => {
    const stored = { scheme: 'bcrypt', hash: (await bcrypt.hash('secret', 5)).replace('$2b$', `$${version}$`) }
    t.same(await hasher.verify('secret', stored), { matches: true, outdated: true })
    t.match(await hasher.verify('other', stored), { matches: false })
  })
}

t.test('a lower cost is outdated, the same or a higher one is not', async t => {
  const weak = await hasher.hash('secret')
  const strict = await createPasswordHasher({ pepper, cost: 5, threads, queue })
  const strong = await strict.hash('secret')
  t.same(await strict.verify('secret', weak), { matches: true, outdated: true })
  t.same(await strict.verify('secret', strong), { matches: true, outdated: false })
  t.same(await hasher.verify('secret', strong), { matches: true, outdated: false })
})

t.test('where there is no account nothing matches, after as much work', async t => {
  // Far above the noise of a machine: 2^11 rounds against none.
  const slow = await createPasswordHasher({ pepper, cost: 11, threads, queue })
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
  t.ok(unknown > wrong / 2, `${unknown} us of CPU against ${wrong}`)
})

t.test('a scheme that nobody knows is an error, not a wrong password', async t => {
  await t.rejects(hasher.verify('secret', { scheme: 'md5', hash: 'x' }), { message: /md5/ })
})
