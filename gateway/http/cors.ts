/** Cross-origin resource sharing (Fetch standard, "HTTP-CORS protocol") for the configured origins. */
import fastifyCors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** Time in seconds for which a browser may cache the response to a preflight request. */
const PREFLIGHT_MAX_AGE_S = 600

const EXPOSED_HEADERS = [
  'etag',
  'x-request-id',
  'traceresponse',
  'retry-after',
  'www-authenticate',
  'ratelimit',
  'ratelimit-policy',
  'proxy-status',
  'server-timing',
]

/** Allows pages of `origins` to send requests with cookies and to read the responses. */
export async function registerCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  await app.register(fastifyCors, {
    origin: [...origins],
    credentials: true,
    // Otherwise the plugin rejects an OPTIONS request that is not a preflight, in plain text.
    strictPreflight: false,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_MAX_AGE_S,
  })
}

/** Returns the CORS headers of a response to which the hook of the plugin does not apply. They are those of the hook. */
export function corsHeaders(origin: string | undefined, origins: readonly string[]): Record<string, string> {
  if (origins.length === 0) return {}
  return {
    vary: 'Origin',
    ...(origin !== undefined && origins.includes(origin) && { 'access-control-allow-origin': origin }),
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
  }
}
