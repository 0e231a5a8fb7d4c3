import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { Code } from '#runtime/status.ts'
import { createAuthentication } from '../../../gateway/edge/authentication.ts'
import { createRevocationSet } from '../../../gateway/edge/revocations/revocation-set.ts'
import { createTokenMint } from '../../support/token-mint.ts'

const ADA = randomUUID()
const issuer = 'https://issuer.example'
const audience = 'shop'
const PUBLIC = { access: AccessLevel.PUBLIC }
const OPTIONAL = { access: AccessLevel.OPTIONAL }
const TOLERANT = { access: AccessLevel.OPTIONAL, tolerateInvalidToken: true }
const USER = { access: AccessLevel.USER }
const ROLES = { access: AccessLevel.ROLES, roles: ['admin'] }

const UNAUTHENTICATED = { code: Code.UNAUTHENTICATED, reason: 'unauthenticated' }
const INVALID = { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }
const EXPIRED = { code: Code.UNAUTHENTICATED, reason: 'token_expired' }
const REVOKED = { code: Code.UNAUTHENTICATED, reason: 'token_revoked' }
const UNKNOWN = { code: Code.UNAVAILABLE, reason: 'revocations_unknown' }

function setUp() {
  const mint = createTokenMint({ issuer, audience })
  const revocations = createRevocationSet()
  const state = { isStale: false }
  const authentication = createAuthentication({
    keys: mint.keys,
    issuer,
    audience,
    revocations,
    isStale: () => state.isStale,
  })
  /** Calls the authentication of a route once. Throws synchronously or rejects as it does. */
  const authenticate = (policy: Partial<Policy>, authorization?: string) =>
    authentication(policy as Policy)({ headers: { authorization } } as FastifyRequest)
  const outcomeOf = async (policy: Partial<Policy>, authorization?: string) => {
    try {
      return await authenticate(policy, authorization)
    } catch (error) {
      const { code, reason } = error as { code?: unknown; reason?: unknown }
      return { code, reason }
    }
  }
  const revokeSession = (sessionId: string) =>
    revocations.add({
      target: { $case: 'sessionId', value: sessionId },
      notAfter: undefined,
      expiresAt: new Date(Date.now() + 900_000),
    })
  return { mint, state, authenticate, outcomeOf, revokeSession }
}

t.test('the access level decides whether a token is required, checked or ignored', async t => {
  const { mint, outcomeOf } = setUp()
  const valid = `Bearer ${mint.access({ sub: ADA })}`
  const ada = { kind: 'user', userId: ADA }
  const cases: [
    name: string,
    policy: Partial<Policy>,
    authorization: string | undefined,
    expected: object | undefined,
  ][] = [
    ['public, no token', PUBLIC, undefined, undefined],
    ['public, invalid token', PUBLIC, 'Bearer x', undefined],
    ['public, valid token', PUBLIC, valid, undefined],
    ['optional, no token', OPTIONAL, undefined, undefined],
    ['optional, invalid token', OPTIONAL, 'Bearer x', INVALID],
    ['optional, valid token', OPTIONAL, valid, ada],
    ['tolerant, no token', TOLERANT, undefined, undefined],
    ['tolerant, invalid token', TOLERANT, 'Bearer x', undefined],
    ['tolerant, valid token', TOLERANT, valid, ada],
    ['user, no token', USER, undefined, UNAUTHENTICATED],
    ['user, another scheme', USER, 'Basic YTpi', UNAUTHENTICATED],
    ['user, scheme without a token', USER, 'Bearer ', UNAUTHENTICATED],
    ['user, invalid token', USER, 'Bearer x', INVALID],
    ['user, valid token', USER, valid, ada],
    ['user, scheme in lower case', USER, valid.replace('Bearer', 'bearer'), ada],
    ['roles, no token', ROLES, undefined, UNAUTHENTICATED],
    ['roles, invalid token', ROLES, 'Bearer x', INVALID],
    ['roles, valid token of another role', ROLES, valid, ada],
  ]
  for (const [name, policy, authorization, expected] of cases) {
    const outcome = await outcomeOf(policy, authorization)
    if (expected === undefined) t.equal(outcome, undefined, name)
    else t.match(outcome, expected, name)
  }
})

t.test('forged, foreign and expired tokens are rejected, and tolerated only by tolerate_invalid_token', async t => {
  const { mint, outcomeOf } = setUp()
  const tokens = { ...mint.forgeries(), expired: mint.access({ exp: Date.now() / 1000 - 1 }) }
  for (const [name, token] of Object.entries(tokens)) {
    const expected = name === 'expired' ? EXPIRED : INVALID
    t.match(await outcomeOf(USER, `Bearer ${token}`), expected, name)
    t.match(await outcomeOf(OPTIONAL, `Bearer ${token}`), expected, `${name}, optional`)
    t.equal(await outcomeOf(TOLERANT, `Bearer ${token}`), undefined, `${name}, tolerant`)
  }
})

t.test('a revoked token is rejected although it was verified before; other sessions are not affected', async t => {
  const { mint, outcomeOf, revokeSession } = setUp()
  const sid = randomUUID()
  const revoked = `Bearer ${mint.access({ sid })}`
  const other = `Bearer ${mint.access({})}`
  t.match(await outcomeOf(USER, revoked), { kind: 'user', sessionId: sid })
  revokeSession(sid)
  t.match(await outcomeOf(USER, revoked), REVOKED)
  t.match(await outcomeOf(OPTIONAL, revoked), REVOKED)
  t.equal(await outcomeOf(TOLERANT, revoked), undefined)
  t.match(await outcomeOf(USER, other), { kind: 'user' })
})

t.test('while revocations are stale every token is rejected with 503, also by a tolerant method', async t => {
  const { mint, state, outcomeOf } = setUp()
  const valid = `Bearer ${mint.access({})}`
  state.isStale = true
  for (const policy of [OPTIONAL, TOLERANT, USER, ROLES]) t.match(await outcomeOf(policy, valid), UNKNOWN)
  t.equal(await outcomeOf(OPTIONAL), undefined, 'a request without a token needs no revocations')
  t.equal(await outcomeOf(PUBLIC, valid), undefined, 'neither does a public method')
  t.match(await outcomeOf(USER, 'Bearer x'), INVALID, 'an invalid token is rejected as such')
  state.isStale = false
  t.match(await outcomeOf(USER, valid), { kind: 'user' })
})

t.test('a token that was verified before is authenticated synchronously', async t => {
  const { mint, authenticate } = setUp()
  const valid = `Bearer ${mint.access({ sub: ADA })}`
  t.ok(authenticate(USER, valid) instanceof Promise, 'the key is compiled for the first token')
  await authenticate(USER, valid)
  const principal = authenticate(USER, valid)
  t.notOk(principal instanceof Promise)
  t.match(principal, { userId: ADA })
})
