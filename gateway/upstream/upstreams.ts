/**
 * The part `upstreams` of gateway.yaml: a name, an address, the image of the contract, and which of its services to expose.
 */
import type { FileRegistry } from '@bufbuild/protobuf'
import { z } from 'zod'
import { readContract, serviceOf } from '#runtime/contract.ts'
import type { Logger } from '#runtime/logger.ts'
import type { ExposedService } from '../contract/route-table.ts'
import { createGrpcJsTransport } from './grpc-js-transport.ts'
import { createHttp2Transport } from './http2/transport.ts'
import type { Transport, TransportObserver } from './transport.ts'

export const upstreamSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/, 'takes lower-case letters, digits and dashes'),
  address: z.string().min(1),
  /** Path of the image, from the file's folder. */
  contract: z.string().min(1),
  services: z.array(z.string()).min(1),
  /** Our own HTTP/2 client, or @grpc/grpc-js at several times its cost. */
  transport: z.enum(['http2', 'grpc-js']).default('grpc-js'),
  /** Milliseconds for a call whose method has no timeout of its own. */
  timeoutMs: z.int().positive().default(2500),
  /** Bytes of one response. */
  maxMessageLength: z
    .int()
    .positive()
    .default(4 * 1024 * 1024),
})

export type UpstreamConfig = z.output<typeof upstreamSchema>

export interface Upstream {
  readonly config: UpstreamConfig
  readonly registry: FileRegistry
  readonly exposed: readonly ExposedService[]
  readonly transport: Transport
}

/** @throws ContractError for a service that the image does not have. */
export function openUpstream(config: UpstreamConfig, logger: Logger, observer?: TransportObserver): Upstream {
  const registry = readContract(config.contract)
  const exposed = config.services.map(name => ({ service: serviceOf(registry, name), upstream: config.name }))
  const { address, maxMessageLength } = config
  const transport =
    config.transport === 'http2'
      ? createHttp2Transport({ address, maxMessageLength, logger, observer })
      : createGrpcJsTransport({ address, maxMessageLength, observer })
  return { config, registry, exposed, transport }
}
