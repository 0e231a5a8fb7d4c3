/**
 * Rate limits on the routes of the contract. @fastify/rate-limit counts (0.5 us of a request), by buckets of ours; what
 * the client is told is ours too, since the plugin has the fields of neither the draft as it is nor a problem document.
 */
import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { isSampled } from '#runtime/observability/trace-context.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { Route } from '../../contract/route-table.ts'
import { clientAddress, networkOf } from '../../http/client-address.ts'
import { HttpError } from '../../http/http-errors.ts'
import { type BucketLimitOptions, bucketStore } from './bucket-store.ts'
import { type Buckets, type Charge, chargeOf } from './buckets.ts'
import type { LimitSettings } from './limit-classes.ts'
import { limitField, policyField } from './limit-fields.ts'
import { type Limit, limitsOfMethods } from './method-limits.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What a success of the request gives back. */
    refund: { readonly bucket: string; readonly charge: Charge } | undefined
  }
}

export type LimitDecision = 'admitted' | 'refused'

export interface RateLimitOptions {
  readonly settings: LimitSettings
  readonly buckets: Buckets
  readonly onDecision?: (limitClass: string, decision: LimitDecision) => void
}

/** What a route does about its limits. Each refuses by a 429; undefined when it has nothing to do. */
export interface RouteLimits {
  /** Before authentication: who is limited by address. */
  onArrival(request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** When authentication fails: a token that is refused counts against its address. */
  onAuthenticationError(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** When it is known who calls: who is limited by principal. */
  onAuthenticated(request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined
  /** After the answer: the refund. */
  readonly onResponse: onResponseHookHandler | undefined
}

type Check = (request: FastifyRequest, reply: FastifyReply) => Promise<void> | undefined
type KeyOf = (request: FastifyRequest) => string

const unlimited: Check = () => undefined

/** @throws ContractError with every method whose limit cannot be had. */
export async function registerRateLimits(
  app: FastifyInstance,
  routes: readonly Route[],
  { settings, buckets, onDecision }: RateLimitOptions,
): Promise<(route: Route) => RouteLimits> {
  const limits = limitsOfMethods(routes, settings)
  await app.register(fastifyRateLimit, { global: false, store: bucketStore(buckets) })
  app.decorateRequest('refund')

  function checkOf(limit: Limit, keyOf: KeyOf): Check {
    const { bucket, className, cost, refundOnSuccess } = limit
    if (bucket === 'unlimited') return unlimited
    const prefix = `gatehouse:limit:${className}:`
    const options: BucketLimitOptions = {
      max: bucket.tokens,
      keyGenerator: request => prefix + keyOf(request),
      charge: chargeOf(bucket, cost),
    }
    const count = app.createRateLimit(options)
    const policy = policyField(className, bucket)
    const refund = refundOnSuccess ? chargeOf(bucket, -cost) : undefined
    return async (request, reply) => {
      const { spanContext } = request.trace
      const { operation } = buckets
      const result = await (operation !== undefined && isSampled(spanContext)
        ? withSpan(spanContext, operation, () => count(request))
        : count(request))
      // What the plugin calls allowed is on its list of those who are not counted, which is empty.
      if (result.isAllowed) return
      const { remaining, ttlInSeconds, isExceeded } = result
      reply.header('ratelimit-policy', policy)
      reply.header('ratelimit', limitField(className, remaining, ttlInSeconds))
      onDecision?.(className, isExceeded ? 'refused' : 'admitted')
      if (isExceeded)
        throw new HttpError('rate_limited', {
          headers: { 'retry-after': String(ttlInSeconds) },
          detail: `Too many requests for class "${className}". Retry after ${ttlInSeconds} s.`,
        })
      if (refund !== undefined) request.refund = { bucket: result.key, charge: refund }
    }
  }

  const refundSuccess: onResponseHookHandler = ({ refund }, { statusCode }, done) => {
    if (refund !== undefined && statusCode >= 200 && statusCode < 300)
      buckets.take(refund.bucket, refund.charge, ignored)
    done()
  }

  return route => {
    const { byAddress, byPrincipal, refused } = limits.get(route.name) as NonNullable<ReturnType<typeof limits.get>>
    const checkAddress = checkOf(byAddress, addressOf)
    const checkRefused = checkOf(refused, addressOf)
    const checkPrincipal = byPrincipal && checkOf(byPrincipal, principalOf)
    const isKnownByAddress = (request: FastifyRequest) =>
      checkPrincipal === undefined || request.headers.authorization === undefined
    return {
      onArrival: (request, reply) => (isKnownByAddress(request) ? checkAddress(request, reply) : undefined),
      onAuthenticationError(error, request, reply) {
        const isRefusal = error instanceof StatusError && error.code === Code.UNAUTHENTICATED
        return isRefusal && !isKnownByAddress(request) ? checkRefused(request, reply) : undefined
      },
      onAuthenticated(request, reply) {
        if (checkPrincipal === undefined || isKnownByAddress(request)) return undefined
        return request.principal === undefined ? checkAddress(request, reply) : checkPrincipal(request, reply)
      },
      onResponse: (byPrincipal ?? byAddress).refundOnSuccess ? refundSuccess : undefined,
    }
  }
}

function ignored(): void {}

// A subject is a UUID of ours; should an issuer say otherwise, keys stay short.
function principalOf({ principal }: FastifyRequest): string {
  return principal?.userId.slice(0, 128) ?? ''
}

function addressOf(request: FastifyRequest): string {
  const address = clientAddress(request)
  return address === undefined ? 'unknown' : networkOf(address)
}
