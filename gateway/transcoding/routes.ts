import type { FastifyInstance, FastifyRequest, onResponseHookHandler } from 'fastify'
import { takesRawBody } from '../contract/http-body.ts'
import { isStream, type Route } from '../contract/route-table.ts'
import type { RequestPolicy } from '../edge/request-policy.ts'
import { HttpError } from '../http/http-errors.ts'
import { assertJsonBody, assertRawBody, registerAnyBody } from '../http/request-body.ts'
import { splitTarget } from '../http/request-target.ts'
import { type Candidate, groupRoutes, type RouteGroup } from '../http/route-groups.ts'
import { allowedMethods, verbOf, verbsBeside } from '../http/routing.ts'
import type { HandlerOptions, RouteHandler } from './handler.ts'
import { createStreamHandler } from './stream-handler.ts'
import { createUnaryHandler } from './unary-handler.ts'

export interface RoutesOptions extends HandlerOptions {
  readonly routes: readonly Route[]
  readonly policyFor: (route: Route) => RequestPolicy
}

/** What is built once per route. */
interface BuiltRoute extends RequestPolicy {
  /** The path template, which names the route in telemetry. */
  readonly source: string
  /** Whether it takes a body of any media type. */
  readonly isRaw: boolean
  readonly handler: RouteHandler
}

/**
 * Registers the routes of the contract in Fastify. A request passes the checks of its policy (edge/request-policy.ts),
 * then the handler of its method. Codecs, policies and calls are built now, so that a request builds nothing.
 */
export function registerRoutes(app: FastifyInstance, options: RoutesOptions): void {
  const candidates = options.routes.map(route => ({ route, template: route.template, value: build(route, options) }))
  for (const [method, own] of Map.groupBy(candidates, ({ route }) => route.httpMethod)) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
    if (method === 'HEAD') continue
    for (const group of groupRoutes(own)) {
      if (group.values.some(({ isRaw }) => isRaw)) registerRaw(app, method, group)
      else register(app, method, group)
    }
  }
  for (const group of groupRoutes(headRoutes(candidates))) register(app, 'HEAD', group)
}

/** The routes of HEAD: its own, and those of GET for the other paths. */
function headRoutes<T extends Candidate<BuiltRoute> & { route: Route }>(candidates: readonly T[]): T[] {
  const own = candidates.filter(({ route }) => route.httpMethod === 'HEAD')
  const shapes = new Set(own.map(({ template }) => template.shape))
  return [...own, ...candidates.filter(({ route }) => route.httpMethod === 'GET' && !shapes.has(route.template.shape))]
}

function build(route: Route, options: RoutesOptions): BuiltRoute {
  const policy = options.policyFor(route)
  const verbs = verbsBeside(route, options.routes)
  return {
    source: route.template.source,
    isRaw: takesRawBody(route),
    onRequest: verbs.size === 0 ? policy.onRequest : rejectVerbs(verbs, options.routes, policy.onRequest),
    onResponse: policy.onResponse,
    handler: isStream(route) ? createStreamHandler(route, options) : createUnaryHandler(route, options),
  }
}

/** Registers a group of which a route takes a raw body. Its routes check their media types after their policies. */
function registerRaw(app: FastifyInstance, method: string, group: RouteGroup<BuiltRoute>): void {
  const checked = new Map(
    group.values.map(value => {
      const assertBody = value.isRaw ? assertRawBody : assertJsonBody
      const onRequest: BuiltRoute['onRequest'] = async (request, reply) => {
        await value.onRequest(request, reply)
        assertBody(request)
      }
      return [value, { ...value, onRequest }]
    }),
  )
  const find = (path: string) => checked.get(group.find(path) as BuiltRoute)
  app.register(async scope => {
    registerAnyBody(scope)
    register(scope, method, { ...group, values: [...checked.values()], find })
  })
}

function register(
  app: FastifyInstance,
  method: string,
  { url, constraints, values, find }: RouteGroup<BuiltRoute>,
): void {
  const [first] = values
  if (first === undefined) return
  const route = { method, url, exposeHeadRoute: false, ...(constraints && { constraints }) }
  if (values.length === 1) {
    const { source, onRequest, onResponse, handler } = first
    app.route({ ...route, config: { template: source }, onRequest, ...(onResponse && { onResponse }), handler })
    return
  }
  // The router selects a group only for a path that one of its templates has.
  const select = (request: FastifyRequest) => find(splitTarget(request.raw).path) ?? first
  const onResponse: onResponseHookHandler = function (request, reply, done) {
    const built = select(request)
    if (built.onResponse === undefined) done()
    else built.onResponse.call(this, request, reply, done)
  }
  app.route({
    ...route,
    config: {
      template: first.source,
      templates: { all: values.map(({ source }) => source), of: request => select(request).source },
    },
    onRequest: (request, reply) => select(request).onRequest(request, reply),
    ...(values.some(value => value.onResponse !== undefined) && { onResponse }),
    handler: (request, reply) => select(request).handler(request, reply),
  })
}

/** Rejects a path with a custom verb that this method does not have (405). A literal colon in a value is `%3A`. */
function rejectVerbs(
  verbs: ReadonlySet<string>,
  routes: readonly Route[],
  onRequest: RequestPolicy['onRequest'],
): RequestPolicy['onRequest'] {
  return (request, reply) => {
    const { path } = splitTarget(request.raw)
    if (!verbs.has(verbOf(path))) return onRequest(request, reply)
    const methods = allowedMethods(routes, path)
    if (methods.includes(request.method)) return onRequest(request, reply)
    // A path with an empty segment.
    if (methods.length === 0) throw new HttpError('route_not_found')
    throw new HttpError('method_not_allowed', { headers: { allow: methods.join(', ') } })
  }
}
