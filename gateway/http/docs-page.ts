/**
 * Serves the OpenAPI document at `/openapi.json` and an HTML reference of it at `/docs/`.
 *
 * The page has its own Content-Security-Policy. It allows scripts from the gateway, the one inline script of
 * @scalar/fastify-api-reference (by hash), and inline styles, which the library generates at run time.
 */
import { createHash } from 'node:crypto'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'

const PAGE = '/docs/'
const SCRIPT = '/docs/js/scalar.js'

export interface DocsOptions {
  /** The OpenAPI document, whose title is that of the page. It is serialized once, and its ETag is the hash of its content. */
  document: object
  /** Loads the reference page. Called again after a failure. Default: @scalar/fastify-api-reference. */
  load?: () => Promise<FastifyInstance>
}

export function registerDocs(
  app: FastifyInstance,
  { document, load = () => loadLibrary(titleOf(document)) }: DocsOptions,
): void {
  const json = JSON.stringify(document)
  const etag = `"${sha256(json)}"`

  app.get('/openapi.json', (request, reply) => {
    reply.header('etag', etag).header('cache-control', 'no-cache')
    if (request.headers['if-none-match'] === etag) return reply.status(304).send()
    return reply.header('content-type', 'application/json; charset=utf-8').send(json)
  })

  // Loaded on the first request for the page: the library needs 20 MB, and few processes ever serve the page.
  let library: Promise<FastifyInstance> | undefined
  const responses = new Map<string, Promise<LightMyRequestResponse>>()

  async function fetchFromLibrary(path: string): Promise<LightMyRequestResponse> {
    library ??= load()
    return (await library).inject(path)
  }

  for (const path of [PAGE, SCRIPT]) {
    app.get(path, async (_request, reply) => {
      const response = responses.get(path) ?? fetchFromLibrary(path)
      responses.set(path, response)
      const { headers, rawPayload } = await response.catch(error => {
        // The next request tries again.
        responses.delete(path)
        library = undefined
        throw error
      })
      reply.header('content-type', headers['content-type'])
      if (path === PAGE) reply.header('content-security-policy', policyFor(rawPayload.toString()))
      return reply.send(path === PAGE ? withIcon(rawPayload.toString()) : rawPayload)
    })
  }
  app.get('/docs', (_request, reply) => reply.redirect(PAGE, 301))
}

function titleOf(document: { info?: { title?: string } }): string {
  return document.info?.title ?? 'API'
}

/** Builds a separate Fastify instance with the library, so that its routes and hooks do not affect the API. */
async function loadLibrary(title: string): Promise<FastifyInstance> {
  const { default: scalar } = await import('@scalar/fastify-api-reference')
  const library = Fastify()
  await library.register(scalar, {
    routePrefix: '/docs',
    configuration: {
      url: '/openapi.json',
      pageTitle: title,
      // The access token survives a reload of the page.
      persistAuth: true,
      authentication: { preferredSecurityScheme: 'bearer' },
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

/** A gate. Without an icon the browser requests /favicon.ico. */
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#4a7" d="M2 15V6a6 6 0 0 1 12 0v9h-3V6a3 3 0 0 0-6 0v9z"/></svg>',
)}`

function withIcon(html: string): string {
  return html.replace('</title>', `</title>\n    <link rel="icon" href="${ICON}" />`)
}

const INLINE_SCRIPT = /<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g

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
