/**
 * The HTTP server of the process. Connections outlive the app that serves their requests: a request goes to the app that is
 * current when the request starts, and stays with it.
 */
import http, { type Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Logger } from '#runtime/observability/logger.ts'
import { generateSecurityHeaders } from '../security-headers.ts'
import { closeWithConnections } from './drain.ts'
import { createHttp1Listener } from './http1-listener.ts'
import type { ListenerLimits, RejectionReason } from './listener.ts'
import { createMalformedResponse } from './malformed-request.ts'
import { passExpectations } from './message-checks.ts'
import { createRejection, type Rejection } from './rejection.ts'

export interface HttpServerOptions {
  readonly logger: Logger
  readonly limits: ListenerLimits
  /** Origins whose pages may read responses. */
  readonly corsOrigins: readonly string[]
  /** Whether the drain has started. Responses then have `Connection: close`. */
  readonly isDraining: () => boolean
  /** Called with the HTTP status of the response to a request that the parser rejected. */
  readonly onMalformed: (status: number) => void
  readonly onRejected: (reason: RejectionReason) => void
}

export interface HttpServer {
  readonly server: Server
  /** Number of open connections. */
  readonly connections: () => number
  /** The headers of all responses. */
  readonly securityHeaders: Readonly<Record<string, string>>
  readonly rejectionOf: Rejection
  /** Whether responses must close their connections. */
  readonly isClosing: () => boolean
  /** Directs the requests that start from now on to `app`, which must be ready. */
  serve(app: FastifyInstance): void
  listen(host: string, port: number): Promise<void>
  /** Stops accepting connections and resolves when the last request has its response. */
  close(): Promise<void>
}

/** Creates a server that does not listen yet. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { corsOrigins, isDraining } = options
  const securityHeaders = await generateSecurityHeaders(corsOrigins.length > 0)
  const rejectionOf = createRejection(securityHeaders, corsOrigins)
  const listener = createHttp1Listener({
    limits: options.limits,
    malformedResponse: createMalformedResponse(options.logger, options.onMalformed, rejectionOf),
    onRejected: options.onRejected,
  })
  let handle: FastifyInstance['routing'] | undefined
  let isClosing = false
  const server = listener.serve((request, response) => handle?.(request, response))
  server.on('clientError', listener.handleClientError)
  passExpectations(server)

  return {
    server,
    connections: () => listener.connections.size,
    securityHeaders,
    rejectionOf,
    isClosing: () => isClosing || isDraining(),
    serve(app) {
      handle = app.routing
    },
    async listen(host, port) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.off('error', reject)
          resolve()
        })
      })
    },
    async close() {
      isClosing = true
      await closeWithConnections(server, listener.connections)
    },
  }
}

/** The server of an app for Fastify. It never listens: the requests of the app come from `HttpServer.serve`. */
export function idleServer(): Server {
  return http.createServer()
}
