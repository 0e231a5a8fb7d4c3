import { randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createRefreshTokens, parseRefreshToken, type RefreshToken } from '../../../auth-svc/sessions/refresh-token.ts'

const tokens = createRefreshTokens(randomBytes(32))
const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 })
const generations = fc.integer({ min: 1, max: 999_999_999_999_999 })

t.test('a token is read as it was written, and is genuine for its session only', async t => {
  fc.assert(
    fc.property(fc.uuid(), generations, nonces, nonces, (sessionId, generation, nonce, otherNonce) => {
      const text = tokens.format(sessionId, generation, nonce)
      const token = parseRefreshToken(text) as RefreshToken
      return (
        token.sessionId === sessionId &&
        token.generation === generation &&
        tokens.isGenuine(token, nonce) &&
        tokens.isGenuine(token, otherNonce) === Buffer.from(nonce).equals(otherNonce) &&
        tokens.format(sessionId, generation, nonce) === text
      )
    }),
  )
  t.pass()
})

t.test('no other text passes for a token', async t => {
  const nonce = randomBytes(16)
  const text = tokens.format(randomUUID(), 7, nonce)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'Aa0-_.=/+ \n'), (at, character) => {
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      const token = parseRefreshToken(changed)
      return changed === text || token === undefined || !tokens.isGenuine(token, nonce)
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('a generation cannot be raised, nor a session changed', async t => {
  const nonce = randomBytes(16)
  const [session, , mac] = tokens.format(randomUUID(), 7, nonce).split('.')
  const [otherSession] = tokens.format(randomUUID(), 7, nonce).split('.')
  for (const forged of [`${session}.8.${mac}`, `${session}.6.${mac}`, `${otherSession}.7.${mac}`]) {
    t.notOk(tokens.isGenuine(parseRefreshToken(forged) as RefreshToken, nonce), forged)
  }
})

t.test('another secret makes other tokens', async t => {
  const nonce = randomBytes(16)
  const stranger = createRefreshTokens(randomBytes(32))
  const token = parseRefreshToken(stranger.format(randomUUID(), 1, nonce)) as RefreshToken
  t.notOk(tokens.isGenuine(token, nonce))
})

t.test('what has not the form is not read', async t => {
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
    // Bits past the last byte.
    `${session?.slice(0, -1)}B.${generation}.${mac}`,
  ]
  for (const text of malformed) t.equal(parseRefreshToken(text), undefined, JSON.stringify(text))
})
