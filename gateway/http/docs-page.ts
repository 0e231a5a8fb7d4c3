/**
 * `/openapi.json`, and `/docs`, a page to read it.
 *
 * The page has a Content-Security-Policy of its own: its scripts are our copy of the library and the one inline script
 * that the library writes, by its hash; nothing is loaded from another host. Styles may be inline, since the library makes
 * its own at run time.
 */
import { createHash } from 'node:crypto'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'

const INLINE_SCRIPT = /<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g

export function registerDocs(app: FastifyInstance, { document }: { document: object }): void {
  const json = JSON.stringify(document)
  const etag = `"${sha256(json)}"`

  app.get('/openapi.json', (request, reply) => {
    reply.header('etag', etag).header('cache-control', 'no-cache')
    if (request.headers['if-none-match'] === etag) return reply.status(304).send()
    return reply.header('content-type', 'application/json; charset=utf-8').send(json)
  })

  // Few gateways are ever asked for it, and the library holds its script twice, 20 MB in all: it is loaded for the first
  // who asks.
  const answers = new Map<string, Promise<LightMyRequestResponse>>()
  let library: Promise<FastifyInstance> | undefined

  async function ask(path: string): Promise<LightMyRequestResponse> {
    library ??= loadLibrary()
    return (await library).inject(path)
  }

  for (const path of [PAGE, SCRIPT]) {
    app.get(path, async (_request, reply) => {
      const asked = answers.get(path) ?? ask(path)
      answers.set(path, asked)
      const { headers, rawPayload } = await asked
      reply.header('content-type', headers['content-type'])
      if (path === PAGE) reply.header('content-security-policy', policyFor(rawPayload.toString()))
      return reply.send(rawPayload)
    })
  }
  app.get('/docs', (_request, reply) => reply.redirect(PAGE, 301))
}

const PAGE = '/docs/'
const SCRIPT = '/docs/js/scalar.js'

async function loadLibrary(): Promise<FastifyInstance> {
  const { default: scalar } = await import('@scalar/fastify-api-reference')
  const library = Fastify()
  await library.register(scalar, {
    routePrefix: '/docs',
    configuration: {
      url: '/openapi.json',
      pageTitle: 'Gatehouse API',
      withDefaultFonts: false,
      telemetry: false,
      agent: { disabled: true },
      mcp: { disabled: true },
      hideClientButton: true,
      showDeveloperTools: 'never',
    },
  })
  return library
}

function policyFor(html: string): string {
  const hashes = [...html.matchAll(INLINE_SCRIPT)].map(([, script = '']) => `'sha256-${sha256(script)}'`)
  return [
    "default-src 'none'",
    `script-src 'self' ${hashes.join(' ')}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
