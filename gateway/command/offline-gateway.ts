/**
 * The gateway without a network: the app of the boot, with a transport that keeps the message of each call, and with tokens
 * whose signature and revocation are not checked.
 */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { FastifyRequest, LightMyRequestResponse } from 'fastify'
import { pino } from 'pino'
import type { KeySource, VerificationKey } from '#runtime/auth/key-set.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { ACCESS_TOKEN, type AccessClaims, SIGNING_ALGORITHM } from '#runtime/auth/token-profile.ts'
import { unavailable } from '#runtime/status.ts'
import { buildApp } from '../app.ts'
import type { GatewaySettings } from '../config.ts'
import type { Route } from '../contract/route-table.ts'
import type { Buckets } from '../edge/limits/buckets.ts'
import { createStreamLimit } from '../edge/limits/stream-limit.ts'
import { createRevocationSet } from '../edge/revocations/revocation-set.ts'
import { createAccessLog } from '../http/access-log.ts'
import { createRequestTelemetry } from '../http/request-telemetry.ts'
import { generateSecurityHeaders } from '../http/security-headers.ts'
import { createGatewayMetrics } from '../metrics.ts'
import { createCompiledCodec } from '../transcoding/compiled/compiled-codec.ts'
import { createOpenStreams } from '../transcoding/open-streams.ts'
import { CircuitBreaker } from '../upstream/circuit-breaker.ts'
import type { UpstreamContract } from '../upstream/upstream-contract.ts'
import type { Boot } from './inspection.ts'

/** A request of `explain`. */
export interface OfflineRequest {
  readonly method: string
  /** Path and query, percent-encoded. */
  readonly target: string
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Buffer | undefined
}

/** What the gateway does with a request. */
export interface OfflineOutcome {
  /** Undefined: no route matches, or the request was rejected before routing. */
  readonly route: Route | undefined
  /** The encoded request message; undefined if the request was rejected, or needs no call. */
  readonly message: Uint8Array | undefined
  readonly response: LightMyRequestResponse
}

export interface OfflineGateway {
  send(request: OfflineRequest): Promise<OfflineOutcome>
  /** Returns the token with a signature that the gateway accepts, and its other parts unchanged. */
  sign(token: string): string
  /** Issues a token that the gateway accepts. */
  issue(role: Role): string
  close(): Promise<void>
}

/** @throws ContractError for what `buildApp` rejects. */
export async function createOfflineGateway({ settings, configuration, plan }: Boot): Promise<OfflineGateway> {
  const logger = pino({ level: 'silent' })
  const metrics = createGatewayMetrics()
  const issuer = createIssuer(settings)
  const seen: { request?: FastifyRequest; message?: Uint8Array } = {}
  const keep = (message: Uint8Array) => {
    seen.message = message
    return unavailable('The command calls no upstream')
  }
  const contractOf = (name: string) => plan.contracts.get(name) as UpstreamContract
  const timeouts = new Map(configuration.file.upstreams.map(({ name, timeoutMs }) => [name, timeoutMs]))

  const { instance } = await buildApp({
    logger,
    metrics,
    server: {
      securityHeaders: await generateSecurityHeaders(settings.CORS_ORIGINS.length > 0),
      isClosing: () => false,
    },
    telemetry: createRequestTelemetry({
      sampleRatio: 0,
      sampleError: () => false,
      accessLog: createAccessLog(logger),
      metrics: metrics.http,
    }),
    routes: plan.routes,
    transcoding: {
      codecFor: route => createCompiledCodec(route, contractOf(route.upstream).registry),
      connectionOf: name => ({
        transport: {
          address: name,
          unary: (_method, message) => Promise.reject(keep(message)),
          state: () => ({ connections: 0, calls: 0, waitingCalls: 0 }),
          isServing: async () => false,
          close: async () => {},
        },
        streams: {
          address: name,
          // biome-ignore lint/correctness/useYield: the stream fails before its first message.
          async *open(_method, message) {
            throw keep(message)
          },
          size: 0,
          close() {},
        },
        breaker: new CircuitBreaker({ maxCalls: 1, maxStreams: 1 }, { calls: 0, streams: 0 }, () => {}),
        canary: undefined,
      }),
      forwardingOf: name => contractOf(name).forwardError,
      openStreams: createOpenStreams(),
      streamLimit: createStreamLimit(settings.STREAMS_PER_CALLER),
      defaultTimeoutOf: name => timeouts.get(name) as number,
      onClientDeadline: metrics.clientDeadline,
    },
    authentication:
      plan.verifying.length === 0
        ? undefined
        : {
            keys: issuer.keys,
            issuer: settings.TOKEN_ISSUER,
            audience: settings.TOKEN_AUDIENCE,
            revocations: createRevocationSet(),
            isStale: () => false,
          },
    limits: { settings: configuration.file.limits, buckets: FULL_BUCKETS },
    publicUrl: settings.PUBLIC_URL,
    corsOrigins: settings.CORS_ORIGINS,
    trustedProxies: settings.TRUSTED_PROXIES,
    clientAddressHeader: settings.CLIENT_ADDRESS_HEADER,
    bodyLimit: settings.BODY_LIMIT,
    serverTiming: false,
    health: { isReady: async () => true },
    registerDocs(app) {
      app.addHook('onRequest', (request, _reply, done) => {
        seen.request = request
        done()
      })
    },
  })

  return {
    async send({ method, target, headers, body }) {
      delete seen.request
      delete seen.message
      const response = await instance.inject({
        // The type has the methods of a browser only.
        method: method as 'GET',
        url: target,
        headers: { host: new URL(settings.PUBLIC_URL).host, ...headers },
        ...(body !== undefined && { payload: body }),
      })
      return { route: seen.request && routeOf(plan.routes, seen.request), message: seen.message, response }
    },
    sign: issuer.sign,
    issue: issuer.issue,
    close: () => instance.close(),
  }
}

/** Buckets that admit each request. */
const FULL_BUCKETS: Buckets = {
  operation: undefined,
  charge: (_key, { shape }, onOutcome) => onOutcome(shape.capacityUnits),
}

/** Returns the route that the router selected. HEAD is served by the route of GET, unless it has one of its own. */
function routeOf(routes: readonly Route[], request: FastifyRequest): Route | undefined {
  const { template, templates } = request.routeOptions.config ?? {}
  const source = templates === undefined ? template : templates.of(request)
  const ofPath = routes.filter(route => route.template.source === source)
  const ofMethod = (method: string) => ofPath.find(({ httpMethod }) => httpMethod === method)
  return ofMethod(request.method) ?? (request.method === 'HEAD' ? ofMethod('GET') : undefined)
}

/** Signs tokens with a key of its own, which the gateway accepts for each key id. All other checks are those of the gateway. */
function createIssuer({ TOKEN_ISSUER, TOKEN_AUDIENCE }: GatewaySettings) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const byId = new Map<string, VerificationKey>()
  const current = (kid: string): VerificationKey => {
    const key = byId.get(kid) ?? { kid, algorithm: SIGNING_ALGORITHM, pem }
    byId.set(kid, key)
    return key
  }
  const keys: KeySource = { current, find: async kid => current(kid) }
  const signed = (input: string) => `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  return {
    keys,
    sign(token: string): string {
      const parts = token.split('.')
      return parts.length === 3 ? signed(parts.slice(0, 2).join('.')) : token
    },
    issue(role: Role): string {
      const now = Math.floor(Date.now() / 1000)
      const claims: AccessClaims = {
        iss: TOKEN_ISSUER,
        aud: TOKEN_AUDIENCE,
        sub: randomUUID(),
        sid: randomUUID(),
        jti: randomUUID(),
        iat: now,
        exp: now + 60,
        role,
        email: 'user@example.com',
        auth_time: now,
        amr: ['pwd'],
      }
      return signed(`${encode({ alg: SIGNING_ALGORITHM, typ: ACCESS_TOKEN.typ, kid: 'explain' })}.${encode(claims)}`)
    },
  }
}
