/** The section `upstreams` of `gateway.yaml`: name, address, contract image, exposed services and connection settings. */
import path from 'node:path'
import type { FileRegistry } from '@bufbuild/protobuf'
import { z } from 'zod'
import { ContractError, readContract, serviceOf } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import type { ExposedService } from '../contract/route-table.ts'
import { createErrorForwarding, type ErrorForwarding, errorFields } from './forwarded-errors.ts'
import { createStreamTransport } from './grpc-js/stream-transport.ts'
import { createGrpcJsTransport } from './grpc-js/transport.ts'
import { MAX_SERVICE_LENGTH } from './health.ts'
import { createHttp2Transport } from './http2/transport.ts'
import { readTlsCredentials, resolveTlsFiles, tlsSchema } from './tls-credentials.ts'
import { MAX_KEEPALIVE_INTERVAL_MS, type StreamTransport, type Transport } from './transport.ts'

/** See KeepaliveOptions. Servers disconnect clients that ping too often; many require intervals of 300,000 ms. */
const keepaliveSchema = z
  .strictObject({
    intervalMs: z.int().min(1000).max(MAX_KEEPALIVE_INTERVAL_MS).default(10_000),
    timeoutMs: z.int().positive().default(2000),
    withoutCalls: z.boolean().default(false),
  })
  .prefault({})

/** One entry of `upstreams`; gateway.yaml describes the fields. */
export const upstreamSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]*$/, 'must be lower-case letters, digits and dashes'),
    /** gRPC target, such as `dns:///auth-svc:50051`. */
    address: z.string().min(1),
    /** Path of the contract image, relative to the folder of `gateway.yaml`. */
    contract: z.string().min(1),
    services: z.array(z.string()).min(1),
    /** `http2`: the gateway's own client. `grpc-js`: @grpc/grpc-js, which uses several times the CPU. */
    transport: z.enum(['http2', 'grpc-js']).default('http2'),
    tls: tlsSchema.optional(),
    /** Health checking by grpc.health.v1: of the server as a whole (`true`) or of the named service. */
    health: z.union([z.boolean(), z.string().min(1).max(MAX_SERVICE_LENGTH)]).default(false),
    keepalive: keepaliveSchema,
    /** Timeout of calls whose method has none in its policy, in milliseconds. */
    timeoutMs: z.int().positive().default(2500),
    /** Maximum length of one response message, in bytes. A longer one is 502 `upstream_answer_too_large`. */
    maxMessageLength: z
      .int()
      .positive()
      .default(4 * 1024 * 1024),
    ...errorFields,
  })
  .refine(({ transport, health }) => transport === 'http2' || health === false, {
    path: ['health'],
    message: 'requires transport http2; transport grpc-js does not support health checking',
  })

export type UpstreamConfig = z.output<typeof upstreamSchema>

export interface Upstream {
  readonly config: UpstreamConfig
  readonly registry: FileRegistry
  readonly exposed: readonly ExposedService[]
  readonly transport: Transport
  readonly streams: StreamTransport
  readonly forwardError: ErrorForwarding
}

/** Resolves the paths of an entry relative to `folder`, the folder of `gateway.yaml`. */
export function resolvePaths(upstream: UpstreamConfig, folder: string): UpstreamConfig {
  const { contract, tls } = upstream
  return { ...upstream, contract: path.resolve(folder, contract), tls: tls && resolveTlsFiles(tls, folder) }
}

/**
 * Opens a transport, which connects at once.
 * @param file `gateway.yaml`, which log lines and errors name.
 * @throws SettingsError with the file and the name of the upstream, for a contract that cannot be read, an unknown service,
 * an invalid TLS file or an invalid address.
 */
export function openUpstream(config: UpstreamConfig, file: string, logger: Logger): Upstream {
  try {
    return open(config, file, logger)
  } catch (error) {
    // An invalid address is a TypeError.
    if (!(error instanceof ContractError || error instanceof SettingsError || error instanceof TypeError)) throw error
    throw new SettingsError(`${file}: upstream ${config.name}: ${error.message}`, { cause: error })
  }
}

function open(config: UpstreamConfig, file: string, logger: Logger): Upstream {
  const registry = readContract(config.contract)
  const exposed = config.services.map(name => ({ service: serviceOf(registry, name), upstream: config.name }))
  const { name, address, maxMessageLength, keepalive, health } = config
  const tls = config.tls && readTlsCredentials(config.tls, 'tls')
  const options = { address, maxMessageLength, tls, keepalive, origin: `${file}: upstream ${name}: ${address}` }
  const healthService = health === true ? '' : health || undefined
  const transport =
    config.transport === 'http2'
      ? createHttp2Transport({ ...options, healthService, logger, name, file })
      : createGrpcJsTransport(options)
  const forwardError = createErrorForwarding({ ...config, registry })
  return { config, registry, exposed, transport, streams: createStreamTransport(options), forwardError }
}
