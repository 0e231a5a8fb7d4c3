import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { Code, StatusError } from '#runtime/status.ts'
import { createPageTokens } from '../../../user-svc/paging/page-token.ts'
import { assertProperty } from '../../support/property.ts'

const tokens = createPageTokens(randomBytes(32))
const position = fc.array(fc.string(), { minLength: 1, maxLength: 4 })
const REJECTED = { code: Code.INVALID_ARGUMENT, violations: [{ field: 'pageToken' }] }

function isRejected(token: string): boolean {
  try {
    tokens.decode('users', token)
    return false
  } catch (error) {
    return error instanceof StatusError && error.violations[0]?.field === 'pageToken'
  }
}

t.test('decoding a page token returns its position', async t => {
  await assertProperty(
    t,
    fc.property(fc.string(), position, (list, given) => {
      assert.deepEqual(tokens.decode(list, tokens.encode(list, given)), given)
    }),
  )
})

t.test('a page token with one character changed, removed or added is rejected', async t => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .'
  await assertProperty(
    t,
    fc.property(position, fc.nat(), fc.constantFrom('', ...alphabet), fc.boolean(), (given, at, character, insert) => {
      const token = tokens.encode('users', given)
      const index = at % token.length
      const forged = token.slice(0, index) + character + token.slice(insert ? index : index + 1)
      fc.pre(forged !== token)
      return isRejected(forged)
    }),
    { numRuns: 500 },
  )
})

t.test('a page token of another list or another secret is rejected', async t => {
  const token = tokens.encode('users', ['a', 'b'])
  t.throws(() => tokens.decode('documents', token), REJECTED)
  t.throws(() => createPageTokens(randomBytes(32)).decode('users', token), REJECTED)
})

t.test('a string that is not a page token is rejected', async t => {
  for (const token of ['', 'x', 'AAAA', '%', '\u0000', 'é'.repeat(40), Buffer.alloc(16).toString('base64url')]) {
    t.throws(() => tokens.decode('users', token), REJECTED)
  }
})
