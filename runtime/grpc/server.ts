/**
 * A gRPC server whose methods are promises and async iterables. Each call passes, from outside in: trace, log and
 * metrics (call-telemetry.ts); authentication, authorization and validation (call-admission.ts); the handler.
 */
import type { FileRegistry } from '@bufbuild/protobuf'
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { protoPath as healthProto } from 'grpc-health-check'
import type { TokenVerifier } from '../auth/token-verifier.ts'
import type { CallMetrics } from '../observability/call-metrics.ts'
import type { Logger } from '../observability/logger.ts'
import type { Handlers } from './call.ts'
import { createAdmission } from './call-admission.ts'
import { createCallTelemetry } from './call-telemetry.ts'
import { methodName, serviceOf } from './contract.ts'
import { type StreamHandler, serveStream, serveUnary, type UnaryHandler } from './handler-adapters.ts'
import { addHealth } from './health.ts'
import { addReflection } from './reflection.ts'

export interface GrpcServerOptions {
  /** Descriptors of the services, with their policies and rules. */
  contract: FileRegistry
  logger: Logger
  /** Verifies the bearer token of a call. */
  verifier: TokenVerifier
  /** Metrics by method and code. */
  calls: CallMetrics
  /** Checks of what the service depends on, by name. Run once a second for the health service. */
  dependencies: Record<string, () => Promise<unknown>>
  /**
   * Converts an error of a dependency to a StatusError, such as `toStatusError` of postgres/errors.ts. An error that is
   * not converted becomes INTERNAL. Default: no conversion.
   */
  mapError?: (error: unknown) => unknown
  /** Image of the contract, which the server then offers to any client by server reflection. Default: no reflection. */
  reflectedImage?: Uint8Array | undefined
}

export interface GrpcServer {
  /**
   * Adds a service.
   * @param typeName full name in the contract, such as `user.v1.UserService`.
   * @throws ContractError if the contract lacks the service or a method lacks a valid policy.
   */
  add<Service>(typeName: string, definition: ServiceDefinition, handlers: Handlers<Service>): void
  /**
   * Starts to accept calls.
   * @param address host and port; port 0 binds a free one.
   * @returns the bound port.
   */
  listen(address: string): Promise<number>
  /** Reports NOT_SERVING, so that clients stop sending new calls. */
  announceStop(): void
  /** Rejects new calls, ends streams with UNAVAILABLE, and resolves when the calls in flight have ended. */
  stop(): Promise<void>
}

/** Creates a server without services. Messages are limited to 4 MiB. Connections are unencrypted. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { contract, logger, verifier, calls, dependencies, mapError = error => error } = options
  const server = new Server({
    'grpc.max_receive_message_length': 4 * 1024 * 1024,
    // Nothing reads the call counters of channelz.
    'grpc.enable_channelz': 0,
  })
  const health = addHealth(server, { logger, dependencies })
  const observerOf = createCallTelemetry({ logger, calls, mapError })
  const openStreams = new Set<AbortController>()
  const services = ['grpc.health.v1.Health']
  const reflection =
    options.reflectedImage &&
    addReflection(server, { image: options.reflectedImage, services: () => services, protoPaths: [healthProto] })

  return {
    add(typeName, definition, handlers) {
      const implementation: Record<string, unknown> = {}
      for (const descriptor of serviceOf(contract, typeName).methods) {
        const method = {
          admit: createAdmission(descriptor, verifier),
          observe: observerOf(methodName(descriptor)),
        }
        const handler = (handlers as Record<string, unknown>)[descriptor.localName]
        implementation[descriptor.localName] =
          descriptor.methodKind === 'server_streaming'
            ? serveStream(method, handler as StreamHandler, openStreams)
            : serveUnary(method, handler as UnaryHandler)
      }
      server.addService(definition, implementation as never)
      services.push(typeName)
    },
    async listen(address) {
      const port = await new Promise<number>((resolve, reject) =>
        server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        ),
      )
      await health.start()
      return port
    },
    announceStop: health.stop,
    stop: () => {
      health.stop()
      health.endWatches()
      reflection?.endStreams()
      for (const stream of openStreams) stream.abort()
      return new Promise((resolve, reject) => server.tryShutdown(error => (error ? reject(error) : resolve())))
    },
  }
}
