import { randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createRefreshTokens, parseRefreshToken, type RefreshToken } from '../../../auth-svc/sessions/refresh-token.ts'

const tokens = createRefreshTokens(randomBytes(32))
const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 })
const generations = fc.integer({ min: 1, max: 999_999_999_999_999 })

t.test('a formatted refresh token parses to its fields and verifies only with the nonce of its session', async t => {
  fc.assert(
    fc.property(fc.uuid(), generations, nonces, nonces, (sessionId, generation, nonce, otherNonce) => {
      const text = tokens.format(sessionId, generation, nonce)
      const token = parseRefreshToken(text) as RefreshToken
      return (
        token.sessionId === sessionId &&
        token.generation === generation &&
        tokens.verify(token, nonce) &&
        tokens.verify(token, otherNonce) === Buffer.from(nonce).equals(otherNonce) &&
        tokens.format(sessionId, generation, nonce) === text
      )
    }),
  )
  t.pass()
})

t.test('a refresh token with one changed character does not verify', async t => {
  const nonce = randomBytes(16)
  const text = tokens.format(randomUUID(), 7, nonce)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'Aa0-_.=/+ \n'), (at, character) => {
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      const token = parseRefreshToken(changed)
      return changed === text || token === undefined || !tokens.verify(token, nonce)
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('a refresh token with another generation or session does not verify', async t => {
  const nonce = randomBytes(16)
  const [session, , mac] = tokens.format(randomUUID(), 7, nonce).split('.')
  const [otherSession] = tokens.format(randomUUID(), 7, nonce).split('.')
  for (const forged of [`${session}.8.${mac}`, `${session}.6.${mac}`, `${otherSession}.7.${mac}`]) {
    t.notOk(tokens.verify(parseRefreshToken(forged) as RefreshToken, nonce), forged)
  }
})

t.test('a refresh token does not verify with another secret', async t => {
  const nonce = randomBytes(16)
  const otherSecret = createRefreshTokens(randomBytes(32))
  const token = parseRefreshToken(otherSecret.format(randomUUID(), 1, nonce)) as RefreshToken
  t.notOk(tokens.verify(token, nonce))
})

t.test('a malformed refresh token is not parsed', async t => {
  const [session, generation, mac] = tokens.format(randomUUID(), 1, randomBytes(16)).split('.')
  const malformed = [
    '',
    '..',
    `${session}.${generation}`,
    `${session}.${generation}.${mac}.x`,
    `${session}.0.${mac}`,
    `${session}.01.${mac}`,
    `${session}.-1.${mac}`,
    `${session}.1e3.${mac}`,
    `${session}.9999999999999999.${mac}`,
    `${session}=.${generation}.${mac}`,
    `${session?.slice(1)}.${generation}.${mac}`,
    ` ${session}.${generation}.${mac}`,
    `${session}.${generation}.${mac}\n`,
    // Not canonical: a bit beyond the last byte is set.
    `${session?.slice(0, -1)}B.${generation}.${mac}`,
  ]
  for (const text of malformed) t.equal(parseRefreshToken(text), undefined, JSON.stringify(text))
})
