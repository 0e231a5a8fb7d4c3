import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { isStream, type Route } from '../contract/route-table.ts'
import type { RequestPolicy } from '../edge/request-policy.ts'
import { HttpError } from '../http/http-errors.ts'
import { splitTarget } from '../http/request-target.ts'
import { allowedMethods, routerPath, verbOf, verbsBeside } from '../http/routing.ts'
import type { HandlerOptions } from './handler.ts'
import { createStreamHandler } from './stream-handler.ts'
import { createUnaryHandler } from './unary-handler.ts'

export interface RoutesOptions extends HandlerOptions {
  readonly routes: readonly Route[]
  readonly policyFor: (route: Route) => RequestPolicy
}

/**
 * Registers the routes of the contract in Fastify. A request passes the checks of its policy (edge/request-policy.ts),
 * then the handler of its method. Codecs, policies and calls are built now, so that a request builds nothing.
 */
export function registerRoutes(app: FastifyInstance, options: RoutesOptions): void {
  const shapes = new Set(options.routes.map(({ httpMethod, template }) => `${httpMethod} ${template.shape}`))
  for (const route of options.routes) {
    const { httpMethod, template } = route
    if (!app.supportedMethods.includes(httpMethod)) app.addHttpMethod(httpMethod, { hasBody: true })
    const { onRequest, onResponse } = options.policyFor(route)
    const verbs = verbsBeside(route, options.routes)
    const handler = isStream(route) ? createStreamHandler(route, options) : createUnaryHandler(route, options)
    // The `*` of find-my-way needs a slash before it. `**` may match no segment, unless another route has that path.
    const { withoutRest } = template
    const hasOwnPath = withoutRest !== undefined && !shapes.has(`${httpMethod} ${withoutRest.shape}`)
    for (const path of hasOwnPath ? [template, withoutRest] : [template]) {
      app.route({
        method: httpMethod,
        ...routerPath(path),
        config: { template: template.source },
        onRequest: verbs.size > 0 ? [rejectVerbs(verbs, options.routes), onRequest] : onRequest,
        ...(onResponse && { onResponse }),
        handler,
      })
    }
  }
}

/** Rejects a path with a custom verb that this method does not have (405). A literal colon in a value is `%3A`. */
function rejectVerbs(verbs: ReadonlySet<string>, routes: readonly Route[]): onRequestHookHandler {
  return (request, _reply, done) => {
    const { path } = splitTarget(request.raw)
    if (!verbs.has(verbOf(path))) done()
    else done(new HttpError('method_not_allowed', { headers: { allow: allowedMethods(routes, path).join(', ') } }))
  }
}
