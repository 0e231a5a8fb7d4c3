import cluster from 'node:cluster'
import { createLogger } from '#runtime/observability/logger.ts'
import { serveMetrics } from '#runtime/observability/metrics-server.ts'
import { readSettings } from '#runtime/process/env.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'
import { settings as shape } from './config.ts'
import { createGateway } from './gateway.ts'
import { answerMetrics, collectFromWorkers, QUESTION } from './workers/worker-metrics.ts'
import { ORDERS, superviseWorkers } from './workers/workers.ts'

/** Milliseconds in which a worker's own 30 s are over. */
const WORKERS_HARD_STOP_MS = 32_000
/** Milliseconds that a worker waits for what it needs. Past them it listens all the same, and says what it lacks. */
const WORKER_READY_MS = 10_000

const settings = readSettings(shape)
const logger = createLogger({ service: 'gateway', level: settings.LOG_LEVEL })

const metricsAddress = { host: settings.LISTEN_HOST, port: settings.GATEWAY_METRICS_PORT }

if (cluster.isWorker) await work()
else if (settings.GATEWAY_WORKERS === undefined) await serve()
else await supervise(settings.GATEWAY_WORKERS)

/** A gateway without workers. */
async function serve(): Promise<void> {
  const gateway = await createGateway(settings, process.env, logger)
  const metricsServer = await serveMetrics({ ...metricsAddress, snapshot: gateway.metrics.snapshot, logger })
  manageLifecycle({ logger, stages: [...gateway.stages, { name: 'metrics', stop: () => metricsServer?.close() }] })
  process.on('SIGHUP', () => logger.warn('there is nothing to roll: it takes GATEWAY_WORKERS'))
  await gateway.listen()
}

async function work(): Promise<void> {
  // A terminal sends SIGINT and SIGHUP to each process; what they mean here is the primary's to say.
  process.on('SIGINT', () => {})
  process.on('SIGHUP', () => {})
  const gateway = await createGateway(settings, process.env, logger)
  async function tellMetrics(question: unknown): Promise<void> {
    const answer = await answerMetrics(question, gateway.metrics.snapshot)
    if (answer === undefined || !process.connected) return
    // Until it has been handed over: the process may end right after, and what is large takes its time.
    await new Promise<void>(resolve => process.send?.(answer, undefined, undefined, () => resolve()))
  }
  const lifecycle = manageLifecycle({
    logger,
    // What it has counted since the primary last asked.
    stages: [...gateway.stages, { name: 'metrics', stop: () => tellMetrics(QUESTION) }],
    signals: ['SIGTERM'],
  })
  process.on('message', order => {
    void tellMetrics(order)
    if (order === ORDERS.stop) lifecycle.stop('the gateway stops')
    if (order === ORDERS.leave) {
      gateway.hideStop()
      lifecycle.stop('another worker takes over')
    }
  })
  await gateway.ready(WORKER_READY_MS)
  await gateway.listen()
}

async function supervise(count: number): Promise<void> {
  cluster.setupPrimary({ exec: import.meta.filename })
  const workers = superviseWorkers({ count, fork: () => cluster.fork(), logger })
  const snapshot = collectFromWorkers(watch => cluster.on('fork', watch))
  const metricsServer = await serveMetrics({ ...metricsAddress, snapshot, logger })
  manageLifecycle({
    logger,
    stages: [
      { name: 'workers', stop: () => workers.stop() },
      { name: 'metrics', stop: () => metricsServer?.close() },
    ],
    hardStopMs: WORKERS_HARD_STOP_MS,
  })
  process.on('SIGHUP', () => workers.roll().catch(error => logger.error({ err: error }, 'the roll was given up')))
  await workers.start()
}
