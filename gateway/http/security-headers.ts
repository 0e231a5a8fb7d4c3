/**
 * The headers that tell a browser what it may do with an answer. @fastify/helmet knows them; it works them out anew for
 * each request, though, at 10 us of the 60 that one took, and they never differ. So it is asked once, at boot.
 */
import fastifyHelmet from '@fastify/helmet'
import Fastify, { type FastifyInstance } from 'fastify'

/** @param crossOrigin whether pages of other origins may read answers. */
export async function registerSecurityHeaders(
  app: FastifyInstance,
  { crossOrigin }: { crossOrigin: boolean },
): Promise<void> {
  const headers = await headersOfHelmet(crossOrigin)
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers)
    done()
  })
}

async function headersOfHelmet(crossOrigin: boolean): Promise<Record<string, string>> {
  const probe = Fastify()
  await probe.register(fastifyHelmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: crossOrigin ? 'cross-origin' : 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    // What the policy above already says, and what only browsers and plug-ins of long ago listen to.
    xFrameOptions: false,
    xXssProtection: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xDnsPrefetchControl: false,
    originAgentCluster: false,
  })
  probe.get('/', (_request, reply) => reply.status(204).send())
  const { headers } = await probe.inject('/')
  await probe.close()
  const { date: _date, connection: _connection, ...fixed } = headers
  return fixed as Record<string, string>
}
