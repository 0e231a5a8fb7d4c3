/**
 * The checks of a request before it is bound to a message, configured by `edge.v1.policy` and built once per route:
 *
 *   1. rate limit by client address
 *   2. authenticate
 *   3. rate limit by principal
 *   4. authorize
 *   5. cross-site check of requests with a credential cookie
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { permissionDenied, unauthenticated } from '#runtime/status.ts'
import { cookieFields } from '../contract/edge-fields.ts'
import type { Route } from '../contract/route-table.ts'
import { readCookies } from '../http/cookies.ts'
import { HttpError } from '../http/http-errors.ts'
import { type AuthenticationOptions, createAuthentication } from './authentication.ts'
import { type RateLimitOptions, type RateLimits, registerRateLimits } from './limits/rate-limits.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The authenticated user; undefined for an anonymous request. Set before the rate limit by principal. */
    principal: UserPrincipal | undefined
  }
}

export interface RequestPolicyOptions {
  readonly routes: readonly Route[]
  /** Undefined: no route verifies tokens. */
  readonly authentication: AuthenticationOptions | undefined
  readonly limits: RateLimitOptions
  /** Origins that may send requests with cookies, such as `https://app.example`. Must include the gateway's own. */
  readonly trustedOrigins: ReadonlySet<string>
}

/** The Fastify hooks of a route. */
export interface RequestPolicy {
  /** @throws HttpError `rate_limited`, `cross_site_request`; StatusError PERMISSION_DENIED or as `Authenticate`. */
  onRequest(request: FastifyRequest, reply: FastifyReply): Promise<void>
  readonly onResponse: onResponseHookHandler | undefined
}

export interface RequestPolicies extends Pick<RateLimits, 'limitOther'> {
  /** Builds the policy of a route of the contract. */
  readonly policyFor: (route: Route) => RequestPolicy
}

/** @throws ContractError that lists all invalid rate limits. */
export async function registerRequestPolicies(
  app: FastifyInstance,
  options: RequestPolicyOptions,
): Promise<RequestPolicies> {
  app.decorateRequest('principal')
  const { limitsOf, limitOther } = await registerRateLimits(app, options.routes, options.limits)
  const createAuthenticate = options.authentication && createAuthentication(options.authentication)

  const policyFor = (route: Route): RequestPolicy => {
    const { policy, descriptor } = route
    const limits = limitsOf(route)
    const authenticate = createAuthenticate?.(policy) ?? (() => undefined)
    const cookieNames = cookieFields(descriptor.input).map(({ cookie }) => cookie.name)

    return {
      async onRequest(request, reply) {
        const limited = limits.onArrival(request, reply)
        if (limited !== undefined) await limited
        try {
          const principal = authenticate(request)
          request.principal = principal instanceof Promise ? await principal : principal
        } catch (error) {
          await limits.onAuthenticationError(error, request, reply)
          throw error
        }
        // Charge before authorization, so that 403 responses count against the limit.
        await limits.onAuthenticated(request, reply)
        authorize(policy, request.principal)
        if (cookieNames.length > 0) {
          const cookies = readCookies(request)
          if (cookieNames.some(name => cookies[name] !== undefined)) assertSameSite(request, options.trustedOrigins)
        }
      },
      onResponse: limits.onResponse,
    }
  }

  return { policyFor, limitOther }
}

/** Checks access level and role. Access that depends on a resource is checked by the service that owns it. */
function authorize({ access, roles }: Policy, principal: UserPrincipal | undefined): void {
  const requiresUser = access === AccessLevel.USER || access === AccessLevel.ROLES
  if (requiresUser && principal === undefined) throw unauthenticated('unauthenticated', 'Sign in first.')
  if (access === AccessLevel.ROLES && !roles.includes(principal?.role ?? '')) {
    throw permissionDenied(`This method requires one of the roles ${roles.join(', ')}.`)
  }
}

// Rejects a request with cookies that another site may have caused (CSRF). Browsers report the initiator in
// `Sec-Fetch-Site`, older ones in `Origin`; scripts can set neither. Requiring `application/json` excludes HTML forms.
function assertSameSite(request: FastifyRequest, origins: ReadonlySet<string>): void {
  const { 'sec-fetch-site': site, origin, 'content-type': type = '' } = request.headers
  const isTrusted = site === 'same-origin' || site === 'none' || (origin !== undefined && origins.has(origin))
  if (!isTrusted || !/^application\/json\s*(;|$)/i.test(type)) throw new HttpError('cross_site_request')
}
