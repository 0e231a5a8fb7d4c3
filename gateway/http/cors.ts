/** Cross-origin resource sharing (Fetch standard, "HTTP-CORS protocol") for the configured origins. */
import fastifyCors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** Time in seconds for which a browser may cache the response to a preflight request. */
const PREFLIGHT_MAX_AGE_S = 600

/** Allows pages of `origins` to send requests with cookies and to read the responses. */
export async function registerCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  await app.register(fastifyCors, {
    origin: [...origins],
    credentials: true,
    // Otherwise the plugin rejects an OPTIONS request that is not a preflight, in plain text.
    strictPreflight: false,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: [
      'etag',
      'x-request-id',
      'traceresponse',
      'retry-after',
      'www-authenticate',
      'ratelimit',
      'ratelimit-policy',
    ],
    maxAge: PREFLIGHT_MAX_AGE_S,
  })
}
