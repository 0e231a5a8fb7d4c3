/** The endpoint `/metrics` of a process, for Prometheus. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Metric, Registry } from 'prom-client'
import type { Logger } from './logger.ts'
import type { Snapshot } from './metric-snapshot.ts'

/** Whether an Accept header prefers OpenMetrics, the format with exemplars, to plain text (RFC 9110 section 12.5.1). */
export function prefersOpenMetrics(accept: string): boolean {
  const quality = (mediaType: string) =>
    Math.max(
      0,
      ...accept.split(',').map(range => {
        const [type = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
        const q = parameters.find(parameter => parameter.startsWith('q='))
        return type === mediaType ? Number(q?.slice(2) ?? 1) || 0 : 0
      }),
    )
  const openMetrics = quality('application/openmetrics-text')
  return openMetrics > 0 && openMetrics >= quality('text/plain')
}

/** Formats a snapshot with prom-client, in OpenMetrics or in the Prometheus text format 0.0.4. */
export function formatMetrics(snapshot: Snapshot, openMetrics: boolean): Promise<string> {
  const registry = new Registry() as Registry<'text/plain; version=0.0.4; charset=utf-8' | OpenMetricsType>
  if (openMetrics) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  for (const metric of snapshot) {
    // For OpenMetrics prom-client appends `_total` to the samples of a counter.
    const isCounter = openMetrics && metric.type === 'counter'
    const named = isCounter ? { ...metric, name: metric.name.replace(/_total$/, '') } : metric
    registry.registerMetric({ ...named, get: async () => named } as unknown as Metric)
  }
  return registry.metrics()
}

type OpenMetricsType = typeof Registry.OPENMETRICS_CONTENT_TYPE

export interface MetricsServerOptions {
  readonly host: string
  /** 0 binds a free port; undefined disables the server. */
  readonly port: number | undefined
  /** Returns the current values. Called at each scrape. */
  readonly snapshot: () => Promise<Snapshot>
  /** Further paths, each with the JSON that it returns. */
  readonly pages?: Readonly<Record<string, () => Promise<JsonPage>>>
  readonly logger: Logger
}

/** A response with a JSON body. */
export interface JsonPage {
  readonly status: number
  readonly body: object
}

export interface MetricsServer {
  /** Stops listening and closes all connections. */
  close(): Promise<void>
}

/**
 * Serves `/metrics` and `pages` on a separate port, so that clients of the API cannot reach it.
 * @returns undefined if the port is undefined.
 * @throws Error if the port is in use.
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer | undefined> {
  const { host, port, snapshot, pages = {}, logger } = options
  if (port === undefined) return undefined

  async function respond(accept: string, response: ServerResponse): Promise<void> {
    const openMetrics = prefersOpenMetrics(accept)
    const text = await formatMetrics(await snapshot(), openMetrics)
    const type = openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', vary: 'Accept' }).end(text)
  }

  async function respondWithPage(page: () => Promise<JsonPage>, response: ServerResponse): Promise<void> {
    const { status, body } = await page()
    response
      .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      .end(JSON.stringify(body))
  }

  const server = createServer((request, response) => {
    request.resume()
    const isReadMethod = request.method === 'GET' || request.method === 'HEAD'
    const path = request.url?.split('?', 1)[0] ?? ''
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined
    if (path !== '/metrics' && page === undefined) response.writeHead(404).end()
    else if (!isReadMethod) response.writeHead(405, { allow: 'GET, HEAD' }).end()
    else {
      const responded =
        page === undefined ? respond(request.headers.accept ?? '', response) : respondWithPage(page, response)
      responded.catch(error => {
        logger.error({ err: error, path }, 'cannot respond on the metrics port')
        response.writeHead(500).end()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, resolve)
  })
  logger.info({ host, port: (server.address() as AddressInfo).port }, 'metrics server listening')
  return {
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
