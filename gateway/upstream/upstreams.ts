/**
 * The part `upstreams` of gateway.yaml: a name, an address, the image of the contract, and which of its services to expose.
 */
import path from 'node:path'
import type { FileRegistry } from '@bufbuild/protobuf'
import { z } from 'zod'
import { readContract, serviceOf } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import type { ExposedService } from '../contract/route-table.ts'
import { createStreamTransport } from './grpc-js/stream-transport.ts'
import { createGrpcJsTransport } from './grpc-js/transport.ts'
import { MAX_SERVICE_LENGTH } from './health.ts'
import { createHttp2Transport } from './http2/transport.ts'
import { readTlsCredentials, resolveTlsFiles, tlsSchema } from './tls-credentials.ts'
import { MAX_KEEPALIVE_INTERVAL_MS, type StreamTransport, type Transport, type TransportObserver } from './transport.ts'

/** Milliseconds. gRPC servers hang up on a client that asks more often than they like; many want 300,000 at least. */
const keepaliveSchema = z
  .strictObject({
    /** Without a byte from the server, until it is asked for one. */
    intervalMs: z.int().min(1000).max(MAX_KEEPALIVE_INTERVAL_MS).default(10_000),
    /** For its answer. */
    timeoutMs: z.int().positive().default(2000),
    /** Whether to ask while no call is under way. */
    withoutCalls: z.boolean().default(false),
  })
  .prefault({})

export const upstreamSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]*$/, 'takes lower-case letters, digits and dashes'),
    address: z.string().min(1),
    /** Path of the image, from the file's folder. */
    contract: z.string().min(1),
    services: z.array(z.string()).min(1),
    /** Our own HTTP/2 client, or @grpc/grpc-js at several times its cost. */
    transport: z.enum(['http2', 'grpc-js']).default('http2'),
    /** Absent: plain text. */
    tls: tlsSchema.optional(),
    /** Whether each server is asked by grpc.health.v1 if it serves: as a whole, or this service. */
    health: z.union([z.boolean(), z.string().min(1).max(MAX_SERVICE_LENGTH)]).default(false),
    keepalive: keepaliveSchema,
    /** Milliseconds for a call whose method has no timeout of its own. */
    timeoutMs: z.int().positive().default(2500),
    /** Bytes of one response. */
    maxMessageLength: z
      .int()
      .positive()
      .default(4 * 1024 * 1024),
  })
  .refine(({ transport, health }) => transport === 'http2' || health === false, {
    path: ['health'],
    message: 'is for transport http2; @grpc/grpc-js does not follow the health of a server',
  })

export type UpstreamConfig = z.output<typeof upstreamSchema>

export interface Upstream {
  readonly config: UpstreamConfig
  readonly registry: FileRegistry
  readonly exposed: readonly ExposedService[]
  readonly transport: Transport
  /** Of server streams. */
  readonly streams: StreamTransport
}

/** @param folder of the file that names them. */
export function resolvePaths(upstream: UpstreamConfig, folder: string): UpstreamConfig {
  const { contract, tls } = upstream
  return { ...upstream, contract: path.resolve(folder, contract), tls: tls && resolveTlsFiles(tls, folder) }
}

/** @throws ContractError for a service that the image does not have; SettingsError for TLS files that are not good. */
export function openUpstream(config: UpstreamConfig, logger: Logger, observer?: TransportObserver): Upstream {
  const registry = readContract(config.contract)
  const exposed = config.services.map(name => ({ service: serviceOf(registry, name), upstream: config.name }))
  const { address, maxMessageLength, keepalive, health } = config
  const tls = config.tls && readTlsCredentials(config.tls, `upstream ${config.name}: tls`)
  const options = { address, maxMessageLength, tls, keepalive, observer }
  const healthService = health === true ? '' : health || undefined
  const transport =
    config.transport === 'http2'
      ? createHttp2Transport({ ...options, healthService, logger })
      : createGrpcJsTransport(options)
  return { config, registry, exposed, transport, streams: createStreamTransport(options) }
}
