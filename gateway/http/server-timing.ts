import type { FastifyInstance } from 'fastify'

/**
 * Adds the header Server-Timing (W3C) to all responses: `total`, the time until the response headers are sent, and
 * `upstream`, the part of it that the call of the upstream took. A stream has no `upstream`, because it lasts longer.
 */
export function registerServerTiming(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const { upstreamMs } = request
    const upstream = upstreamMs === undefined ? '' : `, upstream;dur=${upstreamMs.toFixed(2)}`
    reply.header('server-timing', `total;dur=${reply.elapsedTime.toFixed(2)}${upstream}`)
    done(null, payload)
  })
}
