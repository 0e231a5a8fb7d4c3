/** The upstreams of the gateway: connections, and the contract that each of them serves. */
import { ContractError } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { createStreamTransport } from './grpc-js/stream-transport.ts'
import { createGrpcJsTransport } from './grpc-js/transport.ts'
import { createHttp2Transport } from './http2/transport.ts'
import { readTlsCredentials } from './tls-credentials.ts'
import type { StreamTransport, Transport } from './transport.ts'
import type { UpstreamConfig } from './upstream-config.ts'
import { type ExposureSettings, readUpstreamContract, type UpstreamContract } from './upstream-contract.ts'

export interface Upstream extends UpstreamContract {
  readonly config: UpstreamConfig
  readonly transport: Transport
  readonly streams: StreamTransport
}

/**
 * Opens a transport, which connects at once.
 * @param file `gateway.yaml`, which log lines and errors name.
 * @throws SettingsError with the file and the name of the upstream, for a contract that cannot be read, an unknown service,
 * an invalid TLS file or an invalid address.
 */
export function openUpstream(
  config: UpstreamConfig,
  exposure: ExposureSettings,
  file: string,
  logger: Logger,
): Upstream {
  try {
    return { config, ...readUpstreamContract(config, exposure), ...connect(config, file, logger) }
  } catch (error) {
    // An invalid address is a TypeError.
    if (!(error instanceof ContractError || error instanceof SettingsError || error instanceof TypeError)) throw error
    throw new SettingsError(`${file}: upstream ${config.name}: ${error.message}`, { cause: error })
  }
}

function connect(config: UpstreamConfig, file: string, logger: Logger) {
  const { name, address, maxMessageLength, keepalive, health } = config
  const tls = config.tls && readTlsCredentials(config.tls, 'tls')
  const options = { address, maxMessageLength, tls, keepalive, origin: `${file}: upstream ${name}: ${address}` }
  const healthService = health === true ? '' : health || undefined
  const transport: Transport =
    config.transport === 'http2'
      ? createHttp2Transport({ ...options, healthService, logger, name, file })
      : createGrpcJsTransport(options)
  return { transport, streams: createStreamTransport(options) }
}
