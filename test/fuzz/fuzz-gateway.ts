/** The app of the gateway for any route table, on a server of its own, with an upstream in memory that records its calls. */
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FileRegistry } from '@bufbuild/protobuf'
import { pino } from 'pino'
import type { Test } from 'tap'
import { buildApp } from '../../gateway/app.ts'
import type { Route } from '../../gateway/contract/route-table.ts'
import { createLocalBuckets } from '../../gateway/edge/limits/local-buckets.ts'
import { createStreamLimit } from '../../gateway/edge/limits/stream-limit.ts'
import { createAccessLog } from '../../gateway/http/access-log.ts'
import { createHttpServer } from '../../gateway/http/listener/http-server.ts'
import { createRequestTelemetry } from '../../gateway/http/request-telemetry.ts'
import { createGatewayMetrics } from '../../gateway/metrics.ts'
import { createOpenStreams } from '../../gateway/transcoding/open-streams.ts'
import { createErrorForwarding } from '../../gateway/upstream/forwarded-errors.ts'
import type { StreamTransport, Transport } from '../../gateway/upstream/transport.ts'
import { UNLIMITED } from '../gateway/http/listener/unlimited.ts'
import { createComparingCodec } from '../gateway/transcoding/compiled/comparing-codec.ts'
import { unlimitedConnection } from '../support/upstream-connection.ts'

/** A call that reached the upstream. */
export interface RecordedCall {
  readonly rpcPath: string
  readonly message: Uint8Array
}

export interface FuzzResponse {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  /** The call of the request; undefined if none reached the upstream. */
  readonly call: RecordedCall | undefined
}

export interface FuzzRequest {
  readonly method: string
  /** The request target, sent as it is. */
  readonly target: string
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: Uint8Array | string | undefined
}

/** Starts the server; it stops when the test ends. Requests must not be sent concurrently. */
export async function startFuzzGateway(t: Test) {
  const logger = pino({ level: 'silent' })
  const metrics = createGatewayMetrics()
  const telemetry = createRequestTelemetry({
    sampleRatio: 0,
    sampleError: () => false,
    accessLog: createAccessLog(logger),
    metrics: metrics.http,
  })
  const server = await createHttpServer({
    logger,
    limits: UNLIMITED.limits,
    corsOrigins: [],
    isDraining: () => false,
    onMalformed: telemetry.countMalformed,
    onRejected: metrics.connectionRejected,
  })
  let last: RecordedCall | undefined
  const transport: Transport = {
    address: 'memory',
    async unary(rpcPath, message) {
      last = { rpcPath, message }
      return message
    },
    state: () => ({ isConnected: true }) as never,
    isServing: async () => true,
    close: async () => {},
  }
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let closeApp = async () => {}

  await server.listen('127.0.0.1', 0)
  const { port } = server.server.address() as AddressInfo
  t.teardown(async () => {
    agent.destroy()
    await server.close()
    await closeApp()
  })

  return {
    /** Serves the routes from now on. */
    async serve(routes: readonly Route[], registry: FileRegistry): Promise<void> {
      const { instance } = await buildApp({
        logger,
        metrics,
        server,
        telemetry,
        routes,
        transcoding: {
          codecFor: route => createComparingCodec(route, registry),
          connectionOf: () => unlimitedConnection(transport, undefined as unknown as StreamTransport),
          forwardingOf: () => createErrorForwarding({ errors: 'hide', errorMetadata: [], registry }),
          openStreams: createOpenStreams(),
          streamLimit: createStreamLimit(1),
          defaultTimeoutOf: () => 60_000,
          onClientDeadline: () => {},
        },
        authentication: undefined,
        limits: {
          settings: { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' }, methods: {} },
          buckets: createLocalBuckets(),
        },
        publicUrl: 'https://fuzz.example',
        corsOrigins: [],
        trustedProxies: [],
        clientAddressHeader: 'x-forwarded-for',
        bodyLimit: 100_000,
        serverTiming: false,
        health: { isReady: async () => true },
        registerDocs: () => {},
      })
      server.serve(instance)
      await closeApp()
      closeApp = async () => void (await instance.close())
    },
    async send({ method, target, headers, body }: FuzzRequest): Promise<FuzzResponse> {
      last = undefined
      const request = http.request({
        host: '127.0.0.1',
        port,
        method,
        path: target,
        agent,
        ...(headers && { headers }),
      })
      request.end(body)
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      return { status: response.statusCode ?? 0, headers: response.headers, body: text, call: last }
    },
  }
}
