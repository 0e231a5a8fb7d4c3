/** Serves what a process counts as text, for Prometheus to scrape: prom-client writes it. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Metric, Registry } from 'prom-client'
import type { Logger } from './logger.ts'
import type { Snapshot } from './metric-snapshot.ts'

/** Whether OpenMetrics, which alone has exemplars, is what an Accept header wants (RFC 9110 section 12.5.1). */
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

/** The text of a snapshot, by prom-client's own writer. */
export function writeMetrics(snapshot: Snapshot, openMetrics: boolean): Promise<string> {
  const registry = new Registry() as Registry<'text/plain; version=0.0.4; charset=utf-8' | OpenMetricsType>
  if (openMetrics) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  for (const metric of snapshot) {
    // In OpenMetrics the writer adds `_total` to a counter's samples itself.
    const isBare = openMetrics && metric.type === 'counter'
    const named = isBare ? { ...metric, name: metric.name.replace(/_total$/, '') } : metric
    registry.registerMetric({ ...named, get: async () => named } as unknown as Metric)
  }
  return registry.metrics()
}

type OpenMetricsType = typeof Registry.OPENMETRICS_CONTENT_TYPE

export interface MetricsServerOptions {
  readonly host: string
  /** 0 takes any that is free; undefined serves none. */
  readonly port: number | undefined
  readonly snapshot: () => Promise<Snapshot>
  readonly logger: Logger
}

export interface MetricsServer {
  close(): Promise<void>
}

/** Serves `/metrics` on a port of its own, never on the one that clients reach. */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer | undefined> {
  const { host, port, snapshot, logger } = options
  if (port === undefined) return undefined

  async function answer(accept: string, response: ServerResponse): Promise<void> {
    const openMetrics = prefersOpenMetrics(accept)
    const text = await writeMetrics(await snapshot(), openMetrics)
    const type = openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', vary: 'Accept' }).end(text)
  }

  const server = createServer((request, response) => {
    request.resume()
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const path = request.url?.split('?', 1)[0]
    if (path !== '/metrics') response.writeHead(404).end()
    else if (!isRead) response.writeHead(405, { allow: 'GET, HEAD' }).end()
    else {
      answer(request.headers.accept ?? '', response).catch(error => {
        logger.error({ err: error }, 'the metrics could not be collected')
        response.writeHead(500).end()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, resolve)
  })
  logger.info({ host, port: (server.address() as AddressInfo).port }, 'metrics are served')
  return {
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
