/**
 * Starts the gateway: one process, or with GATEWAY_WORKERS a primary that forks workers and restarts them.
 *
 * SIGTERM and SIGINT drain the gateway. SIGHUP reloads the configuration: a single process in place, with workers by a rolling
 * restart.
 */
import cluster from 'node:cluster'
import { createLogger } from '#runtime/observability/logger.ts'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { type MetricsServer, serveMetrics } from '#runtime/observability/metrics-server.ts'
import { boot, listenOn } from '#runtime/process/boot.ts'
import { readSettings } from '#runtime/process/env.ts'
import { manageLifecycle, type Stage } from '#runtime/process/lifecycle.ts'
import { MIN_NODE_MAJOR, settingsSchema } from './config.ts'
import { watchConfiguration } from './configuration-watch.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { collectHealth, respondWithHealth } from './workers/worker-health.ts'
import { collectFromWorkers, METRICS_REQUEST, respondWithMetrics } from './workers/worker-metrics.ts'
import { superviseWorkers, WORKER_COMMANDS } from './workers/workers.ts'

/** Time in milliseconds after which the primary exits with 1. Longer than the 30 s after which a worker does. */
const PRIMARY_HARD_STOP_MS = 32_000
/** Maximum time in milliseconds that a worker waits for its health checks before it listens. It then listens anyway. */
const WORKER_READY_TIMEOUT_MS = 10_000

const settings = await boot('gateway', () => readSettings(settingsSchema), MIN_NODE_MAJOR)
const logger = createLogger({ service: 'gateway', level: settings.LOG_LEVEL })

await boot(
  'gateway',
  () => {
    if (cluster.isWorker) return runWorker()
    return settings.GATEWAY_WORKERS === undefined ? runSingleProcess() : runPrimary(settings.GATEWAY_WORKERS)
  },
  MIN_NODE_MAJOR,
)

function startMetricsServer(
  snapshot: () => Promise<Snapshot>,
  pages: ReturnType<typeof healthPages>,
): Promise<MetricsServer | undefined> {
  const { LISTEN_HOST: host, GATEWAY_METRICS_PORT: port } = settings
  return listenOn('GATEWAY_METRICS_PORT', `${host}:${port}`, () =>
    serveMetrics({ host, port, snapshot, pages, logger }),
  )
}

function listen(gateway: Gateway): Promise<void> {
  return listenOn('GATEWAY_PORT', `${settings.LISTEN_HOST}:${settings.GATEWAY_PORT}`, () => gateway.listen())
}

/** `/healthz` and `/readyz` of the metrics port, with details. */
function healthPages(details: () => Promise<{ readonly status: 'ready' | 'not ready' }>) {
  return {
    '/healthz': async () => ({ status: 200, body: { status: 'ok' } }),
    '/readyz': async () => {
      const body = await details()
      return { status: body.status === 'ready' ? 200 : 503, body }
    },
  }
}

/** With GATEWAY_WATCH, calls `onChange` when the configuration has changed. @returns a stage of the shutdown. */
function watchFiles(onChange: () => void): Stage {
  const { GATEWAY_WATCH: watch, GATEWAY_CONFIG: file } = settings
  const stop = watch === 'on' ? watchConfiguration({ path: file, env: process.env, onChange }) : () => {}
  return { name: 'watch', stop }
}

async function runSingleProcess(): Promise<void> {
  let gateway: Gateway | undefined
  // A change during the start, which may wait for a contract, is applied after it.
  let changed: string | undefined
  const reload = (reason: string) => {
    if (gateway === undefined) changed = reason
    else gateway.reload(reason).catch(error => logger.error({ err: error }, 'reload failed'))
  }
  process.on('SIGHUP', () => reload('SIGHUP'))
  const watch = watchFiles(() => reload('file changed'))
  gateway = await createGateway(settings, process.env, logger)
  if (changed !== undefined) reload(changed)
  const metricsServer = await startMetricsServer(gateway.metrics.snapshot, healthPages(gateway.healthDetails))
  manageLifecycle({
    logger,
    stages: [watch, ...gateway.stages, { name: 'metrics', stop: () => metricsServer?.close() }],
  })
  await listen(gateway)
}

async function runWorker(): Promise<void> {
  // A terminal sends these signals to all processes of the group. Only the primary handles them.
  process.on('SIGINT', () => {})
  process.on('SIGHUP', () => {})
  const gateway = await createGateway(settings, process.env, logger)

  async function respond(request: unknown): Promise<void> {
    const response =
      (await respondWithMetrics(request, gateway.metrics.snapshot)) ??
      (await respondWithHealth(request, gateway.healthDetails))
    if (response === undefined || !process.connected) return
    // Waits until the message is written: a process that exits earlier loses a large message.
    await new Promise<void>(resolve => process.send?.(response, undefined, undefined, () => resolve()))
  }

  const lifecycle = manageLifecycle({
    logger,
    // The last stage sends what the worker has counted since the primary last requested metrics.
    stages: [...gateway.stages, { name: 'metrics', stop: () => respond(METRICS_REQUEST) }],
    signals: ['SIGTERM'],
  })
  process.on('message', message => {
    void respond(message)
    if (message === WORKER_COMMANDS.stop) lifecycle.stop('gateway stops')
    if (message === WORKER_COMMANDS.retire) {
      gateway.stayReadyWhileDraining()
      lifecycle.stop('replaced by another worker')
    }
  })
  await gateway.waitUntilReady(WORKER_READY_TIMEOUT_MS)
  await listen(gateway)
}

async function runPrimary(count: number): Promise<void> {
  cluster.setupPrimary({ exec: import.meta.filename })
  const workers = superviseWorkers({ count, fork: () => cluster.fork(), logger })
  const snapshot = collectFromWorkers(onFork => cluster.on('fork', onFork))
  const pages = healthPages(() =>
    collectHealth(Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)),
  )
  const metricsServer = await startMetricsServer(snapshot, pages)
  const roll = () => {
    workers
      .roll()
      .catch(error => logger.error({ err: error }, 'rolling restart aborted; keeping the remaining workers'))
  }
  manageLifecycle({
    logger,
    stages: [
      watchFiles(roll),
      { name: 'workers', stop: () => workers.stop() },
      { name: 'metrics', stop: () => metricsServer?.close() },
    ],
    hardStopMs: PRIMARY_HARD_STOP_MS,
  })
  process.on('SIGHUP', roll)
  await workers.start()
}
