import { isIP } from 'node:net'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { listenSettings, logLevel, metricsPort, port, telemetrySettings, tokenSettings } from '#runtime/process/env.ts'

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

/** More than any machine has cores for: a slip of the hand shall not fork until nothing else runs. */
const MOST_WORKERS = 256

/** Names of networks that Fastify knows. */
const NETWORKS: ReadonlySet<string> = new Set(['loopback', 'linklocal', 'uniquelocal'])

/** Everybody (`0.0.0.0/0`) is no proxy: what a client says of itself would be believed. */
function isNetwork(text: string): boolean {
  if (NETWORKS.has(text)) return true
  const [address = '', prefix, ...rest] = text.split('/')
  const longest = { 4: 32, 6: 128 }[isIP(address)]
  if (longest === undefined || rest.length > 0) return false
  return prefix === undefined || (/^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= longest)
}

export const settings = {
  GATEWAY_PORT: port().default(3000).describe('Port of the REST API'),
  GATEWAY_WORKERS: z.coerce
    .number('takes a whole number')
    .int('takes a whole number')
    .min(1, 'takes 1 or more')
    .max(MOST_WORKERS, `takes ${MOST_WORKERS} at the most`)
    .optional()
    .describe('Processes that serve the port, kept alive and rolled on SIGHUP; unset: this one alone'),
  GATEWAY_METRICS_PORT: metricsPort(9464),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'takes a URL such as https://api.example' })
    .default('http://127.0.0.1:3000')
    .transform(url => new URL(url).origin)
    .describe('Where clients reach the gateway; stands in the API document, and its origin may call with cookies'),
  CORS_ORIGINS: list()
    .pipe(
      z.array(
        z
          .url({ protocol: /^https?$/, error: 'takes origins such as https://app.example, separated by commas' })
          .transform(url => new URL(url).origin),
      ),
    )
    .describe('Origins whose pages may call with credentials, separated by commas'),
  TRUSTED_PROXIES: list()
    .refine(entries => entries.every(isNetwork), 'takes addresses and networks such as 10.0.0.0/8, separated by commas')
    .describe('Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas; unset: none'),
  GATEWAY_CONFIG: z
    .string()
    .default(fileURLToPath(new URL('gateway.yaml', import.meta.url)))
    .describe('File that lists the upstreams and the rate limits'),
  AUTH_SVC_ADDRESS: z.string().default('127.0.0.1:50051').describe('Address of auth-svc, for keys and revocations'),
  REDIS_URL: z
    .url()
    .describe('Redis: refresh families, the revocation stream, rate limits; noeviction, append-only file'),
  REVOCATION_SILENCE_LIMIT_S: z.coerce
    .number()
    .int()
    .min(30)
    .default(300)
    .describe('Seconds without auth-svc after which no access token is trusted: what it has revoked is not known'),
  BODY_LIMIT: z.coerce
    .number()
    .int()
    .positive()
    .default(1024 * 1024)
    .describe('Bytes of a request body at most'),
  LOG_LEVEL: logLevel(),
  ...listenSettings,
  ...tokenSettings,
  ...telemetrySettings,
}
