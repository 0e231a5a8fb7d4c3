/**
 * The connections to upstreams, shared by the generations of the configuration: an upstream whose address and connection
 * settings stay the same keeps its connections.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { createStreamTransport } from './grpc-js/stream-transport.ts'
import { createGrpcJsTransport } from './grpc-js/transport.ts'
import { assertAddress, createHttp2Transport } from './http2/transport.ts'
import { readTlsCredentials, type TlsCredentials } from './tls-credentials.ts'
import type { StreamTransport, Transport } from './transport.ts'
import type { UpstreamConfig } from './upstream-config.ts'

/** The use of the connections to one upstream. */
export interface ConnectionLease {
  readonly transport: Transport
  readonly streams: StreamTransport
  /** Ends the use. The last one closes the connections, after the calls in flight. Call it once. */
  release(): Promise<void>
}

export interface Connections {
  /** @throws SettingsError with the name of the upstream, for an invalid address or TLS file. */
  lease(config: UpstreamConfig): ConnectionLease
  /** Number of open server streams. */
  openStreams(): number
}

interface Entry {
  readonly transport: Transport
  readonly streams: StreamTransport
  leases: number
}

/**
 * Creates the connections of a process. They connect at once.
 * @param file `gateway.yaml`, which log lines and errors name.
 */
export function createConnections(file: string, logger: Logger): Connections {
  const entries = new Map<string, Entry>()

  return {
    lease(config) {
      const credentials = readCredentials(config, file)
      const { address, maxMessageLength, keepalive, health, transport } = config
      // Another certificate in the same file needs another connection.
      const key = JSON.stringify([address, maxMessageLength, keepalive, health, transport, credentials])
      const entry = entries.get(key) ?? open(config, credentials, file, logger)
      entries.set(key, entry)
      entry.leases++
      return {
        transport: entry.transport,
        streams: entry.streams,
        async release() {
          if (--entry.leases > 0) return
          entries.delete(key)
          entry.streams.close()
          await entry.transport.close()
        },
      }
    },
    openStreams: () => [...entries.values()].reduce((sum, { streams }) => sum + streams.size, 0),
  }
}

/**
 * Checks what `lease` would reject, without a connection.
 * @param file as in `createConnections`, or a position in the file.
 * @throws SettingsError with the name of the upstream, for an invalid address or TLS file.
 */
export function assertConnectable(config: UpstreamConfig, file: string): void {
  readCredentials(config, file)
  withAddressErrors(config, file, () => {
    const { address, maxMessageLength, transport } = config
    if (transport === 'http2') assertAddress(address)
    // It connects with the first call only.
    createStreamTransport({ address, maxMessageLength }).close()
  })
}

function readCredentials({ name, tls }: UpstreamConfig, file: string): TlsCredentials | undefined {
  return tls && readTlsCredentials(tls, `${file}: upstream ${name}: tls`)
}

function open(config: UpstreamConfig, tls: TlsCredentials | undefined, file: string, logger: Logger): Entry {
  const { name, address, maxMessageLength, keepalive, health } = config
  const options = { address, maxMessageLength, tls, keepalive, origin: `${file}: upstream ${name}: ${address}` }
  const healthService = health === true ? '' : health || undefined
  return withAddressErrors(config, file, () => {
    const transport =
      config.transport === 'http2'
        ? createHttp2Transport({ ...options, healthService, logger, name, file })
        : createGrpcJsTransport(options)
    return { transport, streams: createStreamTransport(options), leases: 0 }
  })
}

function withAddressErrors<T>({ name }: UpstreamConfig, file: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    // An invalid address.
    if (!(error instanceof TypeError)) throw error
    throw new SettingsError(`${file}: upstream ${name}: ${error.message}`, { cause: error })
  }
}
