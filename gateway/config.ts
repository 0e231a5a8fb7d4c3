/** The settings of the gateway, read from environment variables. */
import { isIP } from 'node:net'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import {
  listenSettings,
  logLevel,
  metricsPort,
  port,
  type Settings,
  telemetrySettings,
  tokenSettings,
} from '#runtime/process/env.ts'

/** The oldest major version of Node.js that runs the gateway, and the package that is published. */
export const MIN_NODE_MAJOR = 24

/** A list separated by commas. Spaces around entries and empty entries are ignored. Default: empty. */
const list = () =>
  z
    .string()
    .default('')
    .transform(text =>
      text
        .split(',')
        .map(entry => entry.trim())
        .filter(entry => entry !== ''),
    )

const atLeastOne = () =>
  z.coerce.number('must be a whole number').int('must be a whole number').min(1, 'must be at least 1')

/** Above the number of cores of any machine: a mistyped value must not exhaust the memory or the process table. */
const MAX_WORKERS = 256

/** Named networks of `trustProxy` in Fastify. */
const NAMED_NETWORKS: ReadonlySet<string> = new Set(['loopback', 'linklocal', 'uniquelocal'])

/** Whether `text` is an address, a CIDR network or a named network. A prefix of 0 would trust the header of any client. */
function isNetwork(text: string): boolean {
  if (NAMED_NETWORKS.has(text)) return true
  const [address = '', prefix, ...rest] = text.split('/')
  const maxPrefix = { 4: 32, 6: 128 }[isIP(address)]
  if (maxPrefix === undefined || rest.length > 0) return false
  return prefix === undefined || (/^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= maxPrefix)
}

/** The settings of the gateway: environment variable -> schema. */
export const settingsSchema = {
  GATEWAY_PORT: port().default(3000).describe('TCP port of the REST API; 0 selects any free port.'),
  GATEWAY_WORKERS: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(MAX_WORKERS, `must be at most ${MAX_WORKERS}`)
    .optional()
    .describe(
      `Number of worker processes that serve the port, 1 to ${MAX_WORKERS}. A worker that exits is replaced; SIGHUP restarts the workers one by one. Unset: a single process without workers.`,
    ),
  GATEWAY_METRICS_PORT: metricsPort(9464),
  GATEWAY_MAX_CONNECTIONS: atLeastOne()
    .default(10_000)
    .describe('Maximum number of open client connections of a process. Further connections are closed at once.'),
  GATEWAY_MAX_CONNECTIONS_PER_ADDRESS: atLeastOne()
    .default(1000)
    .describe(
      'Maximum number of open connections from one address (IPv6: /64) to a process. Further connections are closed at once. Addresses in TRUSTED_PROXIES are exempt.',
    ),
  GATEWAY_MAX_UNREAD_BYTES: atLeastOne()
    .default(64 * 1024 * 1024)
    .describe(
      'Maximum size in bytes of all responses of a process that wait for clients to read. Above it, the connections without progress for the longest time are aborted.',
    ),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'must be a URL such as https://api.example' })
    .default('http://127.0.0.1:3000')
    .transform(url => new URL(url).origin)
    .describe(
      'Public URL of the REST API, of which only the origin is used. It is the server in the OpenAPI document, and pages of its origin may send requests with cookies.',
    ),
  CORS_ORIGINS: list()
    .pipe(
      z.array(
        z
          .url({ protocol: /^https?$/, error: 'must be origins such as https://app.example, separated by commas' })
          .transform(url => new URL(url).origin),
      ),
    )
    .describe(
      'Origins whose pages may send cross-origin requests with cookies, separated by commas. Unset: none, and no CORS headers are sent.',
    ),
  TRUSTED_PROXIES: list()
    .refine(
      entries => entries.every(isNetwork),
      'must be addresses or networks such as 10.0.0.0/8, separated by commas; the prefix must not be 0',
    )
    .describe(
      'Addresses or networks (CIDR, `loopback`, `linklocal`, `uniquelocal`) of proxies whose CLIENT_ADDRESS_HEADER is trusted, separated by commas. Unset: the header is ignored.',
    ),
  CLIENT_ADDRESS_HEADER: z
    .enum(['x-forwarded-for', 'forwarded'])
    .default('x-forwarded-for')
    .describe(
      'The header from which the address of a client of TRUSTED_PROXIES is read: `x-forwarded-for` or `forwarded` (RFC 7239). The other one is ignored.',
    ),
  GATEWAY_CONFIG: z
    .string()
    .default(fileURLToPath(new URL('gateway.yaml', import.meta.url)))
    .describe('Path of the YAML file that lists the upstreams and the rate limits.'),
  GATEWAY_WATCH: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      'Whether a change of gateway.yaml, or of a contract, HTTP rules or TLS file that it names, reloads the configuration as SIGHUP does: on or off.',
    ),
  GATEWAY_CONTRACT_DIR: z
    .string()
    .optional()
    .describe(
      'Folder in which the gateway keeps the last contract of each upstream that it reads by reflection, to serve it after a restart while the upstream is down. Created if missing; no other user may have write permission. Unset: contracts are not kept.',
    ),
  AUTH_SVC_ADDRESS: z
    .string()
    .default('127.0.0.1:50051')
    .describe('gRPC address of auth-svc, from which the gateway fetches public keys and revocations.'),
  REDIS_URL: z
    .url()
    .optional()
    .describe(
      'URL of Redis, which holds refresh token families, the revocation stream and rate-limit buckets. Requires `maxmemory-policy noeviction` and `appendonly yes`. auth-svc requires it. The gateway requires it if a method verifies tokens; without it, each process counts its rate limits alone.',
    ),
  REVOCATION_SILENCE_LIMIT_S: z.coerce
    .number()
    .int()
    .min(30)
    .default(300)
    .describe(
      'Maximum time in seconds without a heartbeat from auth-svc, at least 30. After that, all access tokens are rejected with 503, because revocations may be missing.',
    ),
  BODY_LIMIT: z.coerce
    .number()
    .int()
    .positive()
    .default(1024 * 1024)
    .describe('Maximum size of a request body in bytes. A larger body is rejected with 413.'),
  STREAMS_PER_CALLER: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .default(4)
    .describe(
      'Maximum number of streams that a caller has open at once in each process of the gateway. A further one is rejected with 429.',
    ),
  SERVER_TIMING: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      'Whether responses have the header Server-Timing, with the time in the gateway and in the upstream, which clients can then see: on or off.',
    ),
  LOG_LEVEL: logLevel(),
  ...listenSettings,
  ...tokenSettings,
  ...telemetrySettings,
}

export type GatewaySettings = Settings<typeof settingsSchema>
