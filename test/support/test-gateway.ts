/** A gateway in the process of the test, for a contract of the test, with an upstream that the test implements. */
import type { AddressInfo } from 'node:net'
import type { FileRegistry } from '@bufbuild/protobuf'
import { pino } from 'pino'
import type { Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { type AppOptions, buildApp } from '../../gateway/app.ts'
import { buildRouteTable } from '../../gateway/contract/route-table.ts'
import { createLocalBuckets } from '../../gateway/edge/limits/local-buckets.ts'
import { createStreamLimit } from '../../gateway/edge/limits/stream-limit.ts'
import { createRevocationSet } from '../../gateway/edge/revocations/revocation-set.ts'
import { createAccessLog } from '../../gateway/http/access-log.ts'
import { registerDocs } from '../../gateway/http/docs-page.ts'
import { createHttpServer } from '../../gateway/http/listener/http-server.ts'
import type { ListenerLimits } from '../../gateway/http/listener/listener.ts'
import { createRequestTelemetry } from '../../gateway/http/request-telemetry.ts'
import { createGatewayMetrics } from '../../gateway/metrics.ts'
import { createOpenStreams } from '../../gateway/transcoding/open-streams.ts'
import type { UpstreamConnection } from '../../gateway/upstream/connections.ts'
import { createErrorForwarding, type ErrorForwardingOptions } from '../../gateway/upstream/forwarded-errors.ts'
import { createStreamTransport } from '../../gateway/upstream/grpc-js/stream-transport.ts'
import { UNLIMITED } from '../gateway/http/listener/unlimited.ts'
import { createComparingCodec } from '../gateway/transcoding/compiled/comparing-codec.ts'
import { type Responder, startUpstream } from './echo-upstream.ts'
import { TRANSPORTS } from './grpc-peers/peer-calls.ts'
import { createTokenMint } from './token-mint.ts'
import { unlimitedConnection } from './upstream-connection.ts'

/** Options of `startTestGateway`. Default of `limits`: unlimited; of `errors`: `own`. */
export interface TestGatewayOptions
  extends Partial<Pick<AppOptions, 'limits' | 'trustedProxies' | 'clientAddressHeader' | 'serverTiming'>> {
  /** Limits of connections. Default: far above what a test uses. */
  connections?: Partial<ListenerLimits>
  contract: FileRegistry
  /** Default 1,000. */
  streamsPerCaller?: number
  /** The service of the contract to expose, such as `shop.v1.ShopService`. */
  service: string
  /** Implements every method of the service. */
  respond: Responder
  errors?: Pick<ErrorForwardingOptions, 'errors' | 'errorMetadata'>
  /** Address of an upstream that replaces the one of `respond`. */
  address?: string
  /** Replaces the connection to the upstream. */
  connection?: UpstreamConnection
  /** The transport of unary calls. Default: http2. */
  transport?: keyof typeof TRANSPORTS
}

/**
 * Starts the gateway on a free port and stops it when the test ends. `state.lines` collects its log lines; setting
 * `state.isStale` makes the revocation state stale. `call` sends a request, `send` one with a JSON body.
 */
export async function startTestGateway(t: Test, options: TestGatewayOptions) {
  const { contract, trustedProxies = [] } = options
  const service = serviceOf(contract, options.service)
  const upstream = await startUpstream([service], options.respond)
  const target = { address: options.address ?? upstream.address, maxMessageLength: 1_000_000 }
  const transport = TRANSPORTS[options.transport ?? 'http2'](target)
  const errors = options.errors ?? { errors: 'own', errorMetadata: [] }
  const forwardError = createErrorForwarding({ ...errors, registry: contract })
  const streams = createStreamTransport(target)
  const openStreams = createOpenStreams()
  const mint = createTokenMint({ issuer: 'https://issuer.example', audience: 'shop' })
  const revocations = createRevocationSet()
  const metrics = createGatewayMetrics()
  metrics.watch.openStreams(() => streams.size)
  const state = { isStale: false, lines: [] as Record<string, unknown>[] }
  const logger = pino({ level: 'info' }, { write: (line: string) => void state.lines.push(JSON.parse(line)) })
  const telemetry = createRequestTelemetry({
    sampleRatio: 0,
    sampleError: () => false,
    accessLog: createAccessLog(logger),
    metrics: metrics.http,
  })
  metrics.watch.requestsInFlight(telemetry.inFlight)
  const corsOrigins = ['https://app.example']
  const httpServer = await createHttpServer({
    logger,
    limits: { ...UNLIMITED.limits, ...options.connections },
    corsOrigins,
    isDraining: () => false,
    onMalformed: telemetry.countMalformed,
    onRejected: metrics.connectionRejected,
  })
  metrics.watch.openConnections(httpServer.connections)
  const { instance } = await buildApp({
    logger,
    metrics,
    server: httpServer,
    telemetry,
    routes: buildRouteTable([{ service, upstream: 'shop', registry: contract }]),
    transcoding: {
      codecFor: route => createComparingCodec(route, contract),
      connectionOf: () => options.connection ?? unlimitedConnection(transport, streams),
      forwardingOf: () => forwardError,
      openStreams,
      streamLimit: createStreamLimit(options.streamsPerCaller ?? 1000),
      defaultTimeoutOf: () => 2000,
      onClientDeadline: metrics.clientDeadline,
    },
    authentication: {
      keys: mint.keys,
      issuer: 'https://issuer.example',
      audience: 'shop',
      revocations,
      isStale: () => state.isStale,
    },
    limits: options.limits ?? {
      settings: { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' }, methods: {} },
      buckets: createLocalBuckets(),
    },
    publicUrl: 'https://shop.example',
    corsOrigins,
    trustedProxies,
    clientAddressHeader: options.clientAddressHeader ?? 'x-forwarded-for',
    bodyLimit: 10_000,
    serverTiming: options.serverTiming ?? false,
    health: { isReady: async () => true },
    registerDocs: instance => registerDocs(instance, { document: {} }),
  })
  httpServer.serve(instance)
  await httpServer.listen('127.0.0.1', 0)
  const { server } = httpServer
  t.teardown(async () => {
    await openStreams.end(0)
    await httpServer.close()
    await instance.close()
    await transport.close()
    streams.close()
    upstream.close()
  })
  const { port } = server.address() as AddressInfo
  const call = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init)
  const send = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    call(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return {
    instance,
    server,
    close: httpServer.close,
    call,
    send,
    port,
    upstream,
    mint,
    revocations,
    state,
    metrics,
    streams,
    openStreams,
  }
}
