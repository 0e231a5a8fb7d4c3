/**
 * Rate limits of the routes. @fastify/rate-limit counts (0.5 us per request), with token buckets as its store. It
 * supports neither the current draft of the RateLimit fields nor problem documents, so both are written here.
 */
import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import { networkOf } from '#runtime/ip-address.ts'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { isSampled } from '#runtime/observability/trace-context.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { Route } from '../../contract/route-table.ts'
import { HttpError } from '../../http/http-errors.ts'
import { limitItem, policyItem } from '../../http/rate-limit-fields.ts'
import { type BucketLimitOptions, type Buckets, bucketStore, type Charge, createCharge } from './buckets.ts'
import { DEFAULT_OTHER_BUCKET, type LimitSettings, OTHER_CLASS } from './limit-classes.ts'
import { type Limit, type MethodLimits, resolveMethodLimits } from './method-limits.ts'
import type { BucketShape } from './token-bucket.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The bucket and the refund that a 2xx response triggers; undefined if the request was not charged for one. */
    refund: { readonly bucket: string; readonly charge: Charge } | undefined
  }
}

export type LimitDecision = 'admitted' | 'refused'

export interface RateLimitOptions {
  readonly settings: LimitSettings
  readonly buckets: Buckets
  readonly onDecision?: (limitClass: string, decision: LimitDecision) => void
}

/** Each function returns undefined if it charges nothing, and rejects with HttpError `rate_limited` if tokens lack. */
export interface RouteLimits {
  /** Before authentication: charges requests that are limited by address whatever their token is. */
  onArrival(request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** After failed authentication: charges the client address, so that guessing tokens is limited. */
  onAuthenticationError(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** After authentication: charges the principal, or the client address if the token was tolerated as invalid. */
  onAuthenticated(request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** After the response: refunds the cost of a 2xx response. Undefined without `refund_on_success` in the policy. */
  readonly onResponse: onResponseHookHandler | undefined
}

type Check = (request: FastifyRequest, reply: FastifyReply) => Promise<void> | undefined
type KeyOf = (request: FastifyRequest) => string

const unlimited: Check = () => undefined

/** The limits of everything that the gateway serves. */
export interface RateLimits {
  /** Builds the limits of a route of the contract. */
  readonly limitsOf: (route: Route) => RouteLimits
  /** Charges the class `other` by address: documentation, preflight requests and requests that match no route. */
  readonly limitOther: (request: FastifyRequest, reply: FastifyReply) => Promise<void> | undefined
}

/** @throws ContractError as `resolveMethodLimits`. */
export async function registerRateLimits(
  app: FastifyInstance,
  routes: readonly Route[],
  { settings, buckets, onDecision }: RateLimitOptions,
): Promise<RateLimits> {
  const limits = resolveMethodLimits(routes, settings)
  await app.register(fastifyRateLimit, { global: false, store: bucketStore(buckets) })
  app.decorateRequest('refund')

  function createCheck(limit: Limit, keyOf: KeyOf): Check {
    const { bucket, className, cost, refundOnSuccess } = limit
    if (bucket === 'unlimited') return unlimited
    const prefix = `gatehouse:limit:${className}:`
    const options: BucketLimitOptions = {
      max: bucket.capacityTokens,
      keyGenerator: request => prefix + keyOf(request),
      charge: createCharge(bucket, cost),
    }
    const count = app.createRateLimit(options)
    const policy = policyOf(className, bucket)
    const rate = `${bucket.capacityTokens} per ${windowSeconds(bucket)} s`
    const refund = refundOnSuccess ? createCharge(bucket, -cost) : undefined
    return async (request, reply) => {
      const { spanContext } = request.trace
      const { operation } = buckets
      const result = await (operation !== undefined && isSampled(spanContext)
        ? withSpan(spanContext, operation, () => count(request))
        : count(request))
      // isAllowed means that the plugin's allow list has the key. We configure none; the check narrows the type.
      if (result.isAllowed) return
      const { remaining, ttlInSeconds, isExceeded } = result
      reply.header('ratelimit-policy', policy)
      reply.header('ratelimit', limitItem(className, remaining, ttlInSeconds))
      onDecision?.(className, isExceeded ? 'refused' : 'admitted')
      if (isExceeded) {
        throw new HttpError('rate_limited', {
          headers: { 'retry-after': String(ttlInSeconds) },
          detail: `Too many requests for class "${className}" (${rate}). Retry after ${ttlInSeconds} s.`,
        })
      }
      if (refund !== undefined) request.refund = { bucket: result.key, charge: refund }
    }
  }

  const refundSuccess: onResponseHookHandler = ({ refund }, { statusCode }, done) => {
    if (refund !== undefined && statusCode >= 200 && statusCode < 300) {
      buckets.charge(refund.bucket, refund.charge, ignoreOutcome)
    }
    done()
  }

  const limitsOf = (route: Route): RouteLimits => {
    const { byAddress, byPrincipal, unauthenticated } = limits.get(route.name) as MethodLimits
    const checkAddress = createCheck(byAddress, addressOf)
    const checkUnauthenticated = createCheck(unauthenticated, addressOf)
    const checkPrincipal = byPrincipal && createCheck(byPrincipal, principalOf)
    const isLimitedByAddress = (request: FastifyRequest) =>
      checkPrincipal === undefined || request.headers.authorization === undefined
    return {
      onArrival: (request, reply) => (isLimitedByAddress(request) ? checkAddress(request, reply) : undefined),
      onAuthenticationError(error, request, reply) {
        const isUnauthenticated = error instanceof StatusError && error.code === Code.UNAUTHENTICATED
        return isUnauthenticated && !isLimitedByAddress(request) ? checkUnauthenticated(request, reply) : undefined
      },
      onAuthenticated(request, reply) {
        if (checkPrincipal === undefined || isLimitedByAddress(request)) return undefined
        return request.principal === undefined ? checkAddress(request, reply) : checkPrincipal(request, reply)
      },
      onResponse: (byPrincipal ?? byAddress).refundOnSuccess ? refundSuccess : undefined,
    }
  }
  const bucket = settings.classes[OTHER_CLASS] ?? DEFAULT_OTHER_BUCKET
  const other = { className: OTHER_CLASS, bucket, cost: 1, refundOnSuccess: false }
  return { limitsOf, limitOther: createCheck(other, addressOf) }
}

/** The item of a class in `RateLimit-Policy`. */
export function policyOf(className: string, bucket: BucketShape): string {
  return policyItem(className, bucket.capacityTokens, windowSeconds(bucket))
}

function windowSeconds({ capacityUnits, refillPerUs }: BucketShape): number {
  return Math.max(1, Math.ceil(capacityUnits / refillPerUs / 1e6))
}

function ignoreOutcome(): void {}

/** The user id. A user id is a UUID; the bound keeps keys short should an issuer use longer ones. */
export function principalOf({ principal }: FastifyRequest): string {
  return principal?.userId.slice(0, 128) ?? ''
}

/** The network of the client address. */
export function addressOf(request: FastifyRequest): string {
  const address = request.clientAddress
  return address === undefined ? 'unknown' : networkOf(address)
}
