/**
 * Configures Envoy to do the same as the gateway, as far as it can: transcoding with the same contract, verification of
 * tokens with the same key, a JSON access log, metrics. Missing: revocation, rate limits per caller shared by several
 * processes (a local limit instead), field rules, traces, security headers.
 */
import { createPublicKey } from 'node:crypto'
import { PUBLIC_USER_PATH, SERVICE, USER_PATH } from './contract.ts'
import type { BenchEnvironment } from './environment.ts'
import { AUDIENCE, ISSUER } from './tokens.ts'

export interface EnvoyOptions extends Pick<BenchEnvironment, 'backend' | 'contract' | 'key'> {
  readonly port: number
  readonly cachesTokens: boolean
}

/** Returns the configuration for `--config-yaml`. */
export function envoyConfig(options: EnvoyOptions): string {
  const { port, backend } = options
  const [, backendPort] = backend.grpcAddress.split(':')
  return configOf(port, manager(options), {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    ...endpointAt(Number(backendPort)),
  })
}

/** Returns the configuration of a plain HTTP/1.1 proxy with an access log. */
export function envoyProxyConfig({ port, backend }: Pick<EnvoyOptions, 'port' | 'backend'>): string {
  const routes = [{ match: { prefix: '/' }, route: { cluster: CLUSTER } }]
  return configOf(port, managerOf(routes, []), endpointAt(Number(new URL(backend.httpOrigin).port)))
}

const CLUSTER = 'backend'

function configOf(port: number, httpManager: Typed, cluster: object): string {
  return JSON.stringify({
    static_resources: {
      listeners: [
        { address: local(port), filter_chains: [{ filters: [typed(`${NETWORK}.${MANAGER}`, httpManager)] }] },
      ],
      clusters: [{ name: CLUSTER, ...cluster }],
    },
  })
}

function endpointAt(port: number): object {
  const endpoint = { address: local(port) }
  return { load_assignment: { cluster_name: CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint }] }] } }
}

const TYPES = 'type.googleapis.com/envoy.extensions'
const NETWORK = 'envoy.filters.network'
const MANAGER = 'http_connection_manager'
const HTTP = 'envoy.filters.http'

const local = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })

interface Typed {
  readonly type: string
  readonly [setting: string]: unknown
}

function typed(name: string, { type, ...config }: Typed): object {
  return { name, typed_config: { '@type': `${TYPES}.${type}`, ...config } }
}

function manager({ contract, key, cachesTokens }: EnvoyOptions) {
  const { x } = createPublicKey(key.privateKey).export({ format: 'jwk' })
  const jwks = { keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: key.kid, x }] }
  const limit = {
    type: 'filters.http.local_ratelimit.v3.LocalRateLimit',
    stat_prefix: 'limit',
  }
  const routes = [
    {
      match: { path: USER_PATH },
      route: { cluster: CLUSTER },
      typed_per_filter_config: {
        [`${HTTP}.local_ratelimit`]: {
          '@type': `${TYPES}.${limit.type}`,
          stat_prefix: 'limit',
          token_bucket: { max_tokens: 1_000_000, tokens_per_fill: 1_000_000, fill_interval: '1s' },
          filter_enabled: ALWAYS,
          filter_enforced: ALWAYS,
        },
      },
    },
    { match: { path: PUBLIC_USER_PATH }, route: { cluster: CLUSTER } },
  ]
  return managerOf(routes, [
    typed(`${HTTP}.jwt_authn`, {
      type: 'filters.http.jwt_authn.v3.JwtAuthentication',
      providers: {
        bench: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          local_jwks: { inline_string: JSON.stringify(jwks) },
          ...(cachesTokens && { jwt_cache_config: { jwt_cache_size: 1000 } }),
        },
      },
      rules: [{ match: { path: USER_PATH }, requires: { provider_name: 'bench' } }],
    }),
    typed(`${HTTP}.local_ratelimit`, limit),
    typed(`${HTTP}.grpc_json_transcoder`, {
      type: 'filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder',
      proto_descriptor: contract.image,
      services: [SERVICE],
      convert_grpc_status: true,
      match_incoming_request_route: true,
      print_options: { always_print_primitive_fields: true },
    }),
  ])
}

function managerOf(routes: readonly object[], filters: readonly object[]) {
  return {
    type: `filters.network.${MANAGER}.v3.HttpConnectionManager`,
    stat_prefix: 'bench',
    access_log: [
      typed('envoy.access_loggers.stdout', {
        type: 'access_loggers.stream.v3.StdoutAccessLog',
        log_format: { json_format: LOG_LINE },
      }),
    ],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [...filters, typed(`${HTTP}.router`, { type: 'filters.http.router.v3.Router' })],
  }
}

const ALWAYS = { default_value: { numerator: 100, denominator: 'HUNDRED' } }

const LOG_LINE = {
  time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  status: '%RESPONSE_CODE%',
  duration_ms: '%DURATION%',
  client: '%DOWNSTREAM_REMOTE_ADDRESS%',
  user_agent: '%REQ(USER-AGENT)%',
  trace: '%REQ(TRACEPARENT)%',
}
