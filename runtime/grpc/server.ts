/**
 * A gRPC server whose methods are promises. Each call passes, from outside in: trace and log, errors, authentication by
 * the contract's policy, validation by the contract's rules, the handler.
 */
import type { DescMethod, FileRegistry } from '@bufbuild/protobuf'
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js'
import { context, SpanKind } from '@opentelemetry/api'
import { bearerToken } from '../auth/bearer-token.ts'
import type { Principal, UserPrincipal } from '../auth/principal.ts'
import type { TokenVerifier } from '../auth/token-verifier.ts'
import type { CallMetrics, CallRecorder } from '../observability/call-metrics.ts'
import { serverAttributes } from '../observability/client-spans.ts'
import { type Logger, requestLine } from '../observability/logger.ts'
import { continueTrace, type RequestTrace } from '../observability/request-trace.ts'
import { recordSpan } from '../observability/spans.ts'
import { isSampled } from '../observability/trace-context.ts'
import { invalidArgument, permissionDenied, StatusError, toGrpcError, unauthenticated } from '../status.ts'
import { AccessLevel, methodName, type Policy, requirePolicy, serviceOf } from './contract.ts'
import { addHealth } from './health.ts'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT, firstValue } from './metadata.ts'
import { compileRules, type MessageValidator } from './rules.ts'

/** What a handler knows of its call besides the message. */
export interface Call {
  /** Absent where the policy asks for nobody and nobody signed in. */
  readonly principal: Principal | undefined
  /** Of the client, as the gateway saw it. Informative: nothing may be decided by it. */
  readonly client: { readonly address: string; readonly userAgent: string }
  /** Aborted when the caller has gone or its deadline has passed. */
  readonly signal: AbortSignal
}

/** The handlers of a ts-proto service definition, as promises and async iterables. */
export type Handlers<Service> = {
  [M in keyof Service as string extends M ? never : M]: Service[M] extends handleUnaryCall<infer Q, infer R>
    ? (request: Q, call: Call) => Promise<R>
    : Service[M] extends handleServerStreamingCall<infer Q, infer R>
      ? (request: Q, call: Call) => AsyncIterable<R>
      : never
}

export interface GrpcServerOptions {
  contract: FileRegistry
  logger: Logger
  verifier: TokenVerifier
  /** By method. */
  calls: CallMetrics
  /** What the service cannot work without; checked every second for the health service. */
  dependencies: Record<string, () => Promise<unknown>>
  /** What an error of a dependency means to the caller, such as postgres.ts's `toStatusError`. INTERNAL unless mapped. */
  mapError?: (error: unknown) => unknown
}

export interface GrpcServer {
  add<Service>(typeName: string, definition: ServiceDefinition, handlers: Handlers<Service>): void
  /** @returns the port that was bound. */
  listen(address: string): Promise<number>
  /** Reports NOT_SERVING from now on, so that clients turn elsewhere. */
  announceStop(): void
  /** Finishes what is in flight and accepts nothing new. */
  stop(): Promise<void>
}

type ServerCall = ServerUnaryCall<object, object> | ServerWritableStream<object, object>

interface Method {
  readonly name: string
  readonly policy: Policy
  readonly validate: MessageValidator
  readonly calls: CallRecorder
}

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { contract, logger, verifier, calls, dependencies, mapError = error => error } = options
  const logCall = requestLine(logger, 'call')
  const server = new Server({
    'grpc.max_receive_message_length': 4 * 1024 * 1024,
    // Counts calls for a service that nobody asks here.
    'grpc.enable_channelz': 0,
  })
  const health = addHealth(server)
  const streams = new Set<AbortController>()
  let watch: NodeJS.Timeout | undefined

  async function checkHealth(): Promise<void> {
    const failed: string[] = []
    for (const [name, check] of Object.entries(dependencies)) await check().catch(() => failed.push(name))
    if (watch !== undefined) health.setStatus(failed.length === 0 ? 'SERVING' : 'NOT_SERVING')
    if (failed.length > 0) logger.debug({ failed }, 'not ready')
  }

  function keepChecking(): void {
    watch = setTimeout(async () => {
      await checkHealth()
      if (watch !== undefined) keepChecking()
    }, 1000).unref()
  }

  function announceStop(): void {
    clearTimeout(watch)
    watch = undefined
    health.setStatus('NOT_SERVING')
  }

  return {
    add(typeName, definition, handlers) {
      const implementation: Record<string, unknown> = {}
      for (const descriptor of serviceOf(contract, typeName).methods) {
        const method = describe(descriptor, calls)
        const handler = (handlers as Record<string, unknown>)[descriptor.localName]
        implementation[descriptor.localName] =
          descriptor.methodKind === 'server_streaming'
            ? serveStream(method, handler as StreamHandler)
            : serveUnary(method, handler as UnaryHandler)
      }
      server.addService(definition, implementation as never)
    },
    async listen(address) {
      const port = await new Promise<number>((resolve, reject) =>
        server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
          error ? reject(error) : resolve(bound),
        ),
      )
      keepChecking()
      await checkHealth()
      return port
    },
    announceStop,
    stop: () => {
      announceStop()
      health.end()
      // A watch would never end by itself.
      for (const stream of streams) stream.abort()
      return new Promise((resolve, reject) => server.tryShutdown(error => (error ? reject(error) : resolve())))
    },
  }

  type UnaryHandler = (request: object, call: Call) => Promise<object>
  type StreamHandler = (request: object, call: Call) => AsyncIterable<object>

  function serveUnary(method: Method, handler: UnaryHandler): handleUnaryCall<object, object> {
    return (grpc: ServerUnaryCall<object, object>, callback) => {
      // For handlers that look at it: grpc-js "cancels" each call at its end, and an abort takes 3.4 us of CPU.
      let controller: AbortController | undefined
      const signal = () => {
        controller ??= abortWith(grpc)
        return controller.signal
      }
      void observe(method, grpc, async () => {
        const call = await admit(method, grpc.request, grpc.metadata, signal)
        return handler(grpc.request, call)
      }).then(
        response => callback(null, response),
        error => callback(toGrpcError(error)),
      )
    }
  }

  function serveStream(method: Method, handler: StreamHandler): handleServerStreamingCall<object, object> {
    return (grpc: ServerWritableStream<object, object>) => {
      const controller = abortWith(grpc)
      streams.add(controller)
      void observe(method, grpc, async () => {
        const call = await admit(method, grpc.request, grpc.metadata, () => controller.signal)
        for await (const message of handler(grpc.request, call)) {
          if (controller.signal.aborted) return
          if (!grpc.write(message)) await drained(grpc, controller.signal)
        }
      })
        .then(
          () => grpc.end(),
          error => grpc.emit('error', toGrpcError(error)),
        )
        .finally(() => streams.delete(controller))
    }
  }

  /** One log line and, if the trace is sampled, one span a call; everything within belongs to the caller's trace. */
  async function observe<R>(method: Method, grpc: ServerCall, work: () => Promise<R>): Promise<R> {
    const { metadata } = grpc
    const requestTrace = continueTrace(
      firstValue(metadata, 'traceparent'),
      metadata.get('tracestate').join() || undefined,
    )
    return context.with(requestTrace.context, async () => {
      let code = status.OK
      try {
        return await work()
      } catch (thrown) {
        const error = mapError(thrown)
        code = error instanceof StatusError ? error.code : status.INTERNAL
        if (!(error instanceof StatusError) || error.cause !== undefined)
          logger.error({ err: error, method: method.name }, 'call failed')
        throw error
      } finally {
        const ms = performance.now() - requestTrace.startedAt
        const { spanContext } = requestTrace
        const isRecorded = isSampled(spanContext)
        logCall(
          `,"trace_id":"${spanContext.traceId}","span_id":"${spanContext.spanId}","method":"${method.name}",` +
            `"code":"${status[code]}","ms":${Math.round(ms * 100) / 100}`,
        )
        method.calls.record(code, ms / 1000, isRecorded ? spanContext : undefined)
        if (isRecorded) recordCall(method, grpc, requestTrace, code)
      }
    })
  }

  /** Lets a call in, or throws. Who may call is told before what is wrong with the message. */
  async function admit(method: Method, request: object, metadata: Metadata, signal: () => AbortSignal): Promise<Call> {
    const principal = await authenticate(method.policy, metadata)
    authorize(method.policy, principal)
    const violations = method.validate(request)
    if (violations.length > 0) throw invalidArgument(violations)
    const client = {
      address: firstValue(metadata, CLIENT_ADDRESS) ?? '',
      userAgent: firstValue(metadata, CLIENT_USER_AGENT) ?? '',
    }
    return {
      principal,
      client,
      get signal() {
        return signal()
      },
    }
  }

  async function authenticate(policy: Policy, metadata: Metadata): Promise<Principal | undefined> {
    if (policy.access === AccessLevel.PUBLIC || policy.access === AccessLevel.INTERNAL) return undefined
    const token = bearerToken(firstValue(metadata, 'authorization'))
    if (token === undefined) return undefined
    if (!policy.tolerateInvalidToken) return verifier.verify(token)
    return verifier.verify(token).catch(error => {
      if (error instanceof StatusError && error.code === status.UNAUTHENTICATED) return undefined
      throw error
    })
  }
}

// What of a call's codes is the server's fault (semantic conventions for gRPC, "Server span").
const SERVER_ERRORS: readonly status[] = [
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]

function recordCall(
  { name }: Method,
  grpc: ServerCall,
  { spanContext, parent, startedAt }: RequestTrace,
  code: status,
): void {
  recordSpan({
    name,
    kind: SpanKind.SERVER,
    spanContext,
    parent,
    startedAt,
    attributes: {
      'rpc.system.name': 'grpc',
      'rpc.method': name,
      'rpc.status_code': status[code],
      'client.address': firstValue(grpc.metadata, CLIENT_ADDRESS),
      ...serverAttributes(grpc.getHost()),
    },
    errorType: SERVER_ERRORS.includes(code) ? status[code] : undefined,
  })
}

function describe(descriptor: DescMethod, calls: CallMetrics): Method {
  const name = methodName(descriptor)
  return {
    name,
    policy: requirePolicy(descriptor),
    validate: compileRules(descriptor.input),
    calls: calls.labels(name),
  }
}

function authorize(policy: Policy, principal: Principal | undefined): void {
  const wantsService = policy.access === AccessLevel.SERVICE
  const wantsUser = policy.access === AccessLevel.USER || policy.access === AccessLevel.ROLES
  if ((wantsService || wantsUser) && principal === undefined) throw unauthenticated('unauthenticated', 'Sign in first')
  if (principal !== undefined && (principal.kind === 'service') !== wantsService) {
    throw permissionDenied('This kind of token does not open this method')
  }
  if (policy.access === AccessLevel.ROLES && principal?.kind === 'user' && !policy.roles.includes(principal.role)) {
    throw permissionDenied(`This takes one of the roles ${policy.roles.join(', ')}`)
  }
}

/** The user of a call whose policy lets nobody else in. */
export function userOf(call: Call): UserPrincipal {
  if (call.principal?.kind !== 'user') throw unauthenticated('unauthenticated', 'Sign in first')
  return call.principal
}

function abortWith(grpc: {
  readonly cancelled: boolean
  on(event: 'cancelled', listener: () => void): unknown
}): AbortController {
  const controller = new AbortController()
  if (grpc.cancelled) controller.abort()
  else grpc.on('cancelled', () => controller.abort())
  return controller
}

function drained(stream: ServerWritableStream<object, object>, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      stream.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    stream.on('drain', done)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
