/**
 * Puts the route table into Fastify: one route a binding, each parse -> limits by address -> authenticate -> limits by
 * principal -> authorize -> bind -> call -> map.
 */
import { Readable } from 'node:stream'
import type {} from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { isIfMatch, SameSite } from '#runtime/grpc/contract.ts'
import type { CallMetrics } from '#runtime/observability/call-metrics.ts'
import { invalidArgument } from '#runtime/status.ts'
import { cookieFields } from '../contract/edge-fields.ts'
import type { PathTemplate } from '../contract/path-template.ts'
import { isStream, type Route } from '../contract/route-table.ts'
import type { AuthenticateByPolicy } from '../edge/authentication.ts'
import { authorize } from '../edge/authorization.ts'
import { assertSameSite } from '../edge/cross-site.ts'
import type { RouteLimits } from '../edge/limits/rate-limits.ts'
import { HttpError } from '../http/http-errors.ts'
import { toProblem } from '../http/problem.ts'
import { splitTarget } from '../http/request-target.ts'
import { createUpstreamCall, createUpstreamStream } from '../upstream/calls.ts'
import { Cancellation } from '../upstream/cancellation.ts'
import { deadlineIn } from '../upstream/deadline.ts'
import type { StreamTransport, Transport } from '../upstream/transport.ts'
import { hasTag, quoteTag } from './binding/entity-tag.ts'
import type { Codec, CookieChange, RequestInput } from './codec.ts'
import type { OpenStreams } from './open-streams.ts'
import { beginStream } from './stream-answer.ts'
import { streamFormatOf } from './stream-format.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls; undefined for nobody. */
    principal: UserPrincipal | undefined
  }
}

export interface RoutesOptions {
  readonly routes: readonly Route[]
  readonly codecFor: (route: Route) => Codec
  readonly transportOf: (upstream: string) => Transport
  /** Of server streams. */
  readonly streamsOf: (upstream: string) => StreamTransport
  readonly openStreams: OpenStreams
  /** Milliseconds for a method without a timeout of its own. */
  readonly defaultTimeoutOf: (upstream: string) => number
  readonly rpcMetrics: CallMetrics
  readonly limitsOf: (route: Route) => RouteLimits
  readonly authenticate: AuthenticateByPolicy
  /** What an answer revokes, to be known here at once. */
  readonly revoke: (revocation: Revocation) => void
  readonly trustedOrigins: ReadonlySet<string>
}

export function registerRoutes(app: FastifyInstance, options: RoutesOptions): void {
  app.decorateRequest('principal')
  for (const route of options.routes) registerRoute(app, route, options)
}

function registerRoute(app: FastifyInstance, route: Route, options: RoutesOptions): void {
  const { policy, template } = route
  const limits = options.limitsOf(route)
  const authenticate = options.authenticate(policy)
  const cookieNames = cookieFields(route.descriptor.input).map(({ cookie }) => cookie.name)

  app.route({
    method: route.httpMethod,
    ...toFastifyPath(template),
    config: { template: template.source },
    onRequest: async (request, reply) => {
      const arrival = limits.onArrival(request, reply)
      if (arrival !== undefined) await arrival
      try {
        const caller = authenticate(request)
        request.principal = caller instanceof Promise ? await caller : caller
      } catch (error) {
        await limits.onRefusal(error, request, reply)
        throw error
      }
      // Before it is asked whether the caller may: what is not allowed would be free otherwise.
      await limits.onAuthenticated(request, reply)
      authorize(policy, request.principal)
      if (cookieNames.length > 0) {
        const cookies = cookiesOf(request)
        if (cookieNames.some(name => cookies[name] !== undefined)) assertSameSite(request, options.trustedOrigins)
      }
    },
    ...(limits.onResponse && { onResponse: limits.onResponse }),
    handler: isStream(route) ? streamHandler(route, options) : unaryHandler(route, options),
  })
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

function unaryHandler(route: Route, options: RoutesOptions): Handler {
  const { policy, template } = route
  const codec = options.codecFor(route)
  const call = createUpstreamCall(options.transportOf(route.upstream), route, options.rpcMetrics)
  const timeoutMs = policy.timeout ? durationMs(policy.timeout) : options.defaultTimeoutOf(route.upstream)
  const successStatus = policy.successStatus || 200
  const isRead = route.httpMethod === 'GET'
  const takesIfMatch = route.descriptor.input.fields.some(isIfMatch)

  return async (request, reply) => {
    if (!takesIfMatch && !isRead && request.headers['if-match'] !== undefined) throw NO_IF_MATCH
    const message = codec.encode(requestInput(template, request))
    const response = await call(request, message, deadlineIn(timeoutMs), whenClientLeaves(reply))
    const answer = codec.decode(response)
    for (const revocation of answer.revocations) options.revoke(revocation)
    for (const change of answer.cookies) writeCookie(reply, change)
    // Answers are personal, tokens among them (RFC 6749 section 5.1).
    reply.status(successStatus).header('cache-control', 'no-store')
    if (successStatus === 204) return reply.send()
    const tag = answer.etag === undefined ? undefined : quoteTag(answer.etag)
    if (tag !== undefined) {
      reply.header('etag', tag)
      const known = isRead ? request.headers['if-none-match'] : undefined
      if (known !== undefined && hasTag(known, answer.etag as string)) return reply.status(304).send()
    }
    return reply.header('content-type', 'application/json; charset=utf-8').send(answer.body)
  }
}

/** To go on without looking at a condition would be to do what the client wanted not to be done. */
const NO_IF_MATCH = invalidArgument([{ field: 'If-Match', description: 'is not looked at by this method' }])

/**
 * A stream lasts as long as both sides want it to, but without a timeout of its own an hour at most: what nobody reads any
 * more, and never said so, does not stay for ever.
 */
const STREAM_TIMEOUT_MS = 3_600_000

function streamHandler(route: Route, options: RoutesOptions): Handler {
  const { policy, template } = route
  const { openStreams } = options
  const codec = options.codecFor(route)
  const open = createUpstreamStream(options.streamsOf(route.upstream), route, options.rpcMetrics)
  const timeoutMs = policy.timeout ? durationMs(policy.timeout) : STREAM_TIMEOUT_MS
  const successStatus = policy.successStatus || 200

  return async (request, reply) => {
    const message = codec.encode(requestInput(template, request))
    const format = streamFormatOf(request.headers.accept)
    const { path } = splitTarget(request.raw)
    const { traceId } = request.trace.spanContext
    reply.status(successStatus).header('cache-control', 'no-store').header('content-type', format.contentType)
    // To open a stream only to throw it away would be work for nothing; of who has left already nothing more is heard.
    if (request.method === 'HEAD' || reply.raw.destroyed) return reply.send()

    const cancellation = whenClientLeaves(reply)
    const ended = openStreams.add(cancellation)
    const messages = open(request, message, deadlineIn(timeoutMs), cancellation)
    reply.raw.once('close', () => {
      ended()
      // Also where nobody has begun to read the body.
      messages.return().catch(() => {})
    })
    const body = await beginStream({
      messages,
      format,
      toJson: bytes => codec.decode(bytes).body,
      toError(error) {
        const { problem, isInternal } = toProblem(openStreams.reason ?? error, { path, traceId })
        if (isInternal) request.log.error({ err: error }, 'stream failed')
        return format.error(problem)
      },
    }).catch(error => {
      throw openStreams.reason ?? error
    })
    return reply.send(Readable.from(body))
  }
}

function requestInput(template: PathTemplate, request: FastifyRequest): RequestInput {
  const { path, query } = splitTarget(request.raw)
  const pathValues = template.extract(path)
  if (pathValues === undefined) throw new HttpError('route_not_found')
  const body = request.body instanceof Uint8Array ? request.body : undefined
  return { pathValues, query, body, cookies: cookiesOf(request), ifMatch: request.headers['if-match'] }
}

// Without a prototype: a cookie may have any name.
const NO_COOKIES: RequestInput['cookies'] = Object.freeze(Object.create(null))

function cookiesOf({ server, headers }: FastifyRequest): RequestInput['cookies'] {
  return headers.cookie === undefined ? NO_COOKIES : server.parseCookie(headers.cookie)
}

/**
 * The router's notation for a template. The values are taken from the raw path, so its names do not matter. A verb after
 * a literal is part of the literal; after a variable it is a constraint, since the router would let the variable take it.
 */
function toFastifyPath({ segments, verb }: PathTemplate): { url: string; constraints?: { verb: string } } {
  const parts = segments.map((segment, index) => {
    if (segment.kind === 'rest') return '*'
    return segment.kind === 'single' ? `:p${index}` : segment.text
  })
  const url = `/${parts.join('/')}`
  if (verb === undefined) return { url }
  return segments.at(-1)?.kind === 'literal' ? { url: `${url}::${verb}` } : { url, constraints: { verb } }
}

/** Nobody waits for the answer any more: the call is cancelled with it. */
function whenClientLeaves(reply: FastifyReply): Cancellation {
  const cancellation = new Cancellation()
  const { raw } = reply
  // Who left while the request was decided on has said so before.
  if (raw.destroyed) cancellation.cancel()
  raw.on('close', () => {
    if (!raw.writableFinished) cancellation.cancel()
  })
  return cancellation
}

function writeCookie(reply: FastifyReply, { cookie, value, maxAge }: CookieChange): void {
  reply.setCookie(cookie.name, value, {
    path: cookie.path,
    secure: true,
    httpOnly: true,
    sameSite: cookie.sameSite === SameSite.LAX ? 'lax' : 'strict',
    ...(value === '' ? { maxAge: 0 } : maxAge !== undefined && { maxAge }),
  })
}

function durationMs({ seconds, nanos }: { seconds: bigint; nanos: number }): number {
  return Number(seconds) * 1000 + nanos / 1e6
}
