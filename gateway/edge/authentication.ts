/**
 * Who calls: the access token verified by @fastify/jwt against the keys of auth-svc, then looked up in the revocations.
 */
import fastifyJwt, { type FastifyJWTOptions } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AccessLevel, type Policy } from '#runtime/contract.ts'
import {
  ACCESS_TOKEN,
  type AccessClaims,
  assertKid,
  assertStrictEncoding,
  bearerToken,
  SIGNING_ALGORITHM,
  toPrincipal,
  toTokenError,
  type UserPrincipal,
  unknownKey,
  type WatchedKeySource,
} from '#runtime/principal.ts'
import { Code, StatusError, unauthenticated, unavailable } from '#runtime/status.ts'
import type { RevocationSet } from './revocations.ts'
import { createTokenCache } from './token-cache.ts'

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: AccessClaims
    user: AccessClaims
  }
}

/** Longer without news of revocations than this, and no token can be trusted any more. */
export const MAX_BLIND_MS = 30_000

export interface AuthenticationOptions {
  keys: WatchedKeySource
  issuer: string
  audience: string
  revocations: RevocationSet
  /** Milliseconds since the revocations were last known to be complete. */
  blindFor: () => number
}

/** The caller as far as the policy asks; undefined is nobody. */
export type Authenticate = (request: FastifyRequest, policy: Policy) => Promise<UserPrincipal | undefined>

export async function registerAuthentication(
  app: FastifyInstance,
  options: AuthenticationOptions,
): Promise<Authenticate> {
  await app.register(fastifyJwt, {
    secret: {
      public: async (_request: FastifyRequest, token: { header: { kid?: unknown } }) =>
        (await options.keys.find(assertKid(token.header.kid))) ?? unknownKey(),
    } as unknown as FastifyJWTOptions['secret'],
    decode: { complete: true },
    verify: {
      algorithms: [SIGNING_ALGORITHM],
      allowedIss: options.issuer,
      allowedAud: options.audience,
      checkTyp: ACCESS_TOKEN.typ,
      requiredClaims: ACCESS_TOKEN.requiredClaims,
      extractToken: request => bearerToken(request.headers.authorization),
      cache: false,
    },
  })

  const verified = createTokenCache({ isKnown: kid => options.keys.isKnown(kid) })

  async function verifySignature(request: FastifyRequest, token: string): Promise<UserPrincipal> {
    assertStrictEncoding(token)
    const principal = toPrincipal(await request.jwtVerify<AccessClaims>())
    verified.put(token, kidOf(token), principal)
    return principal
  }

  async function verify(request: FastifyRequest, token: string): Promise<UserPrincipal> {
    const principal = verified.get(token) ?? (await verifySignature(request, token))
    if (options.blindFor() > MAX_BLIND_MS) {
      throw unavailable('Whether the token was revoked is not known right now', { reason: 'revocations_unknown' })
    }
    if (options.revocations.has(principal)) throw unauthenticated('token_revoked', 'The access token was revoked')
    return principal
  }

  return async (request, policy) => {
    if (policy.access === AccessLevel.PUBLIC) return undefined
    const token = bearerToken(request.headers.authorization)
    if (token === undefined) {
      if (policy.access === AccessLevel.OPTIONAL) return undefined
      throw unauthenticated('unauthenticated', 'Sign in first: send `Authorization: Bearer` with an access token')
    }
    try {
      return await verify(request, token)
    } catch (thrown) {
      const error = refusalOf(thrown)
      const isRefusal = error instanceof StatusError && error.code === Code.UNAUTHENTICATED
      if (policy.tolerateInvalidToken && isRefusal) return undefined
      throw error
    }
  }
}

/** Of a token that was verified. */
function kidOf(token: string): string {
  const [header = ''] = token.split('.', 1)
  return JSON.parse(Buffer.from(header, 'base64url').toString()).kid
}

/** @fastify/jwt words some refusals of its verifier anew, under codes of its own. */
function refusalOf(error: unknown): unknown {
  const code = (error as { code?: unknown } | undefined)?.code
  if (code === 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED')
    return unauthenticated('token_expired', 'The access token has expired')
  const isRefusal = typeof code === 'string' && (code.startsWith('FST_JWT_') || code === 'FAST_JWT_MISSING_SIGNATURE')
  return isRefusal ? unauthenticated('token_invalid', 'The access token is not valid') : toTokenError(error)
}
