import type { FastifyInstance } from 'fastify'
import { isStream, type Route } from '../contract/route-table.ts'
import type { RequestPolicy } from '../edge/request-policy.ts'
import { routerPath } from '../http/routing.ts'
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
  for (const route of options.routes) {
    const { onRequest, onResponse } = options.policyFor(route)
    app.route({
      method: route.httpMethod,
      ...routerPath(route.template),
      config: { template: route.template.source },
      onRequest,
      ...(onResponse && { onResponse }),
      handler: isStream(route) ? createStreamHandler(route, options) : createUnaryHandler(route, options),
    })
  }
}
