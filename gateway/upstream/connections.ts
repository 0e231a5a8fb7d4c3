/**
 * The connections to upstreams, shared by the generations of the configuration: an upstream whose address and connection
 * settings stay the same keeps its connections. Its retry budget, its ejected addresses and its calls in progress are kept
 * even if these settings change.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { CircuitBreaker, type UpstreamLoad } from './circuit-breaker.ts'
import { createStreamTransport } from './grpc-js/stream-transport.ts'
import { createGrpcJsTransport } from './grpc-js/transport.ts'
import { type AddressStates, countEjected, type EjectionOutcome } from './http2/outlier-ejection.ts'
import type { RetryOutcome } from './http2/retry-policy.ts'
import { assertAddress, createHttp2Transport } from './http2/transport.ts'
import { type RetryConfig, resilienceOf } from './resilience-config.ts'
import { RetryBudget } from './retry-budget.ts'
import { readTlsCredentials, type TlsCredentials } from './tls-credentials.ts'
import type { StreamTransport, Transport } from './transport.ts'
import type { UpstreamConfig } from './upstream-config.ts'

/** The transports to one address of an upstream. */
export interface UpstreamTransports {
  readonly transport: Transport
  readonly streams: StreamTransport
}

/** The ways to an upstream. */
export interface UpstreamConnection extends UpstreamTransports {
  readonly breaker: CircuitBreaker
  /** Undefined: all calls go to `transport` and `streams`. */
  readonly canary: (UpstreamTransports & { readonly percent: number }) | undefined
}

/** The use of the connections to one upstream. */
export interface ConnectionLease extends UpstreamConnection {
  /** Ends the use. The last one closes the connections, after the calls in flight. Call it once. */
  release(): Promise<void>
}

export interface Connections {
  /** @throws SettingsError with the name of the upstream, for an invalid address or TLS file. */
  lease(config: UpstreamConfig): ConnectionLease
  /** Number of open server streams. */
  openStreams(): number
  /** The state of each upstream that is in use. */
  states(): UpstreamSnapshot[]
}

export interface UpstreamSnapshot {
  readonly upstream: string
  /** Unary calls in progress. */
  readonly calls: number
  readonly ejectedAddresses: number
}

/** Receives what happens to the calls of one upstream, for metrics. Must not throw. */
export interface UpstreamEvents {
  onRetry(outcome: RetryOutcome): void
  onEjection(outcome: EjectionOutcome): void
  /** A call was rejected because too many are in progress. */
  onOverload(): void
}

interface Entry extends UpstreamTransports {
  leases: number
}

/** What an upstream keeps when its settings change. */
interface UpstreamState {
  readonly load: UpstreamLoad
  readonly addresses: AddressStates
  readonly canaryAddresses: AddressStates
  readonly budget: RetryBudget
  leases: number
}

/** The parts of a process that its connections use. */
export interface ConnectionsOptions {
  /** `gateway.yaml`, which log lines and errors name. */
  readonly file: string
  readonly logger: Logger
  /** Called once for each use of an upstream. */
  readonly eventsOf: (upstream: string) => UpstreamEvents
}

/** Creates the connections of a process. They connect at once. */
export function createConnections({ file, logger, eventsOf }: ConnectionsOptions): Connections {
  const entries = new Map<string, Entry>()
  const states = new Map<string, UpstreamState>()

  function useState({ name, retries }: UpstreamConfig): UpstreamState {
    const options = resilienceOf({ retries: retries || undefined }).retries as RetryConfig
    const state = states.get(name) ?? {
      load: { calls: 0, streams: 0 },
      addresses: new Map(),
      canaryAddresses: new Map(),
      budget: new RetryBudget(options),
      leases: 0,
    }
    states.set(name, state)
    state.budget.configure(options)
    state.leases++
    return state
  }

  function releaseState(name: string, state: UpstreamState): void {
    if (--state.leases === 0) states.delete(name)
  }

  /** @param address that of the upstream, or of its canary. */
  function use(config: UpstreamConfig, address: string, parts: OpenParts): Entry & { release(): Promise<void> } {
    const { name, maxMessageLength, keepalive, health, transport, retries, ejection } = config
    // Another certificate in the same file needs another connection.
    const key = JSON.stringify([
      name,
      address,
      maxMessageLength,
      keepalive,
      health,
      transport,
      retries,
      ejection,
      parts.credentials,
    ])
    const entry = entries.get(key) ?? open(config, address, parts, file, logger)
    entries.set(key, entry)
    entry.leases++
    return {
      ...entry,
      async release() {
        if (--entry.leases > 0) return
        entries.delete(key)
        entry.streams.close()
        await entry.transport.close()
      },
    }
  }

  return {
    lease(config) {
      const { name, canary } = config
      const credentials = readCredentials(config, file)
      const events = eventsOf(name)
      const state = useState(config)
      const { budget, load } = state
      const used: { release(): Promise<void> }[] = []
      const release = async () => {
        releaseState(name, state)
        await Promise.all(used.map(entry => entry.release()))
      }
      try {
        const main = use(config, config.address, { credentials, budget, events, addresses: state.addresses })
        used.push(main)
        const second =
          canary && use(config, canary.address, { credentials, budget, events, addresses: state.canaryAddresses })
        if (second !== undefined) used.push(second)
        return {
          transport: main.transport,
          streams: main.streams,
          breaker: new CircuitBreaker(config.circuitBreaker, load, events.onOverload),
          canary: canary && second && { transport: second.transport, streams: second.streams, percent: canary.percent },
          release,
        }
      } catch (error) {
        void release()
        throw error
      }
    },
    openStreams: () => [...entries.values()].reduce((sum, { streams }) => sum + streams.size, 0),
    states: () =>
      [...states].map(([upstream, { load, addresses, canaryAddresses }]) => {
        const now = performance.now()
        const ejectedAddresses = countEjected(addresses, now) + countEjected(canaryAddresses, now)
        return { upstream, calls: load.calls, ejectedAddresses }
      }),
  }
}

/** What the transports to one address get besides the settings. */
interface OpenParts {
  readonly credentials: TlsCredentials | undefined
  readonly budget: RetryBudget
  readonly addresses: AddressStates
  readonly events: UpstreamEvents
}

/**
 * Checks what `lease` would reject, without a connection.
 * @param file as in `createConnections`, or a position in the file.
 * @throws SettingsError with the name of the upstream, for an invalid address or TLS file.
 */
export function assertConnectable(config: UpstreamConfig, file: string): void {
  readCredentials(config, file)
  withAddressErrors(config, file, () => {
    const { maxMessageLength, transport, canary } = config
    for (const address of [config.address, ...(canary === undefined ? [] : [canary.address])]) {
      if (transport === 'http2') assertAddress(address)
      // It connects with the first call only.
      createStreamTransport({ address, maxMessageLength }).close()
    }
  })
}

function readCredentials({ name, tls }: UpstreamConfig, file: string): TlsCredentials | undefined {
  return tls && readTlsCredentials(tls, `${file}: upstream ${name}: tls`)
}

function open(config: UpstreamConfig, address: string, parts: OpenParts, file: string, logger: Logger): Entry {
  const { name, maxMessageLength, keepalive, health } = config
  const { credentials: tls, budget, addresses, events } = parts
  const options = { address, maxMessageLength, tls, keepalive, origin: `${file}: upstream ${name}: ${address}` }
  const healthService = health === true ? '' : health || undefined
  const { retries, ejection } = resilienceOf(config)

  function onEjection(ejected: string, outcome: EjectionOutcome, durationMs: number): void {
    events.onEjection(outcome)
    const facts = { upstream: name, address: ejected, durationMs }
    if (outcome === 'ejected') logger.warn(facts, 'calls of an address fail in a row; it gets no calls for a time')
    else logger.warn(facts, 'calls of an address fail in a row; it stays in use, as half of the addresses are ejected')
  }

  return withAddressErrors(config, file, () => {
    const transport =
      config.transport === 'http2'
        ? createHttp2Transport({
            ...options,
            healthService,
            logger,
            name,
            file,
            retries: retries && { ...retries, budget },
            onRetry: events.onRetry,
            ejection: ejection && { ...ejection, states: addresses, onEjection },
          })
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
