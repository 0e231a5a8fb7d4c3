import { z } from 'zod'

/** A process's settings: environment variable -> schema. Each schema carries `.describe()`, from which README's table is made. */
export type SettingsShape = Record<string, z.ZodType>

export type Settings<S extends SettingsShape> = Readonly<{ [K in keyof S]: z.output<S[K]> }>

export class SettingsError extends Error {
  override name = 'SettingsError'
}

/**
 * Reads every setting once, at boot. An empty variable counts as unset, as compose and Kubernetes write it.
 * @throws SettingsError that names each bad setting and what it takes.
 */
export function readSettings<S extends SettingsShape>(shape: S, env: NodeJS.ProcessEnv = process.env): Settings<S> {
  const given = Object.fromEntries(Object.keys(shape).map(name => [name, env[name] === '' ? undefined : env[name]]))
  const result = z.object(shape).safeParse(given)
  if (result.success) return Object.freeze(result.data) as Settings<S>
  const lines = result.error.issues.map(issue => {
    const name = String(issue.path[0])
    const reason = given[name] === undefined ? 'is not set' : issue.message
    return `  ${name}: ${reason} (${shape[name]?.description ?? 'undocumented'})`
  })
  throw new SettingsError(`Bad settings:\n${lines.join('\n')}`)
}

// The types of a setting that more than one process has.

export const port = () => z.coerce.number('takes a port number').int().min(0).max(65_535)

/** undefined for `off`. */
export const metricsPort = (fallback: number) =>
  z
    .union([z.literal('off').transform(() => undefined), port()], 'takes a port number or off')
    .default(fallback)
    .describe('Port of /metrics, on the same address; 0: any that is free, as the log says; off: none')

export const duration = (unit: 'ms' | 's', fallback: number) =>
  z.coerce.number(`takes a number of ${unit}`).positive().default(fallback)

export const count = (fallback: number) => z.coerce.number('takes a whole number').int().positive().default(fallback)

/** 32 random bytes in base64, as `openssl rand -base64 32` prints them. */
export const secret = () =>
  z
    .string()
    .transform(text => Buffer.from(text, 'base64'))
    .refine(bytes => bytes.length === 32, 'takes 32 bytes in base64')

export const logLevel = () =>
  z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('The least level that is logged')

/** The settings of a service's migrations. */
export const migrationSettings = {
  DATABASE_URL: z
    .string()
    .describe("PostgreSQL, as the service's own role: postgres://<role>:<password>@host:5432/gatehouse"),
  LOG_LEVEL: logLevel(),
}

/** The settings of a service's database. */
export const databaseSettings = {
  ...migrationSettings,
  DATABASE_POOL_SIZE: z.coerce
    .number('takes a whole number')
    .int()
    .positive()
    .optional()
    .describe('Connections to PostgreSQL at most; unset: twice the cores and one'),
  DATABASE_ACQUIRE_TIMEOUT_MS: duration('ms', 2000).describe(
    'Time that work waits for a connection to PostgreSQL; past it, 503 with the code database_busy',
  ),
  DATABASE_STATEMENT_TIMEOUT_MS: duration('ms', 2500).describe('Time that one statement may take; past it, 504'),
  DATABASE_PREPARED: z
    .enum(['on', 'off'])
    .default('on')
    .describe('Prepared statements; off behind a pooler in transaction mode, such as PgBouncer before 1.21'),
  DATABASE_SLOW_MS: duration('ms', 250).describe('Time from which on a statement is logged, without its values'),
  DATABASE_SLOW_PLANS: z
    .enum(['on', 'off'])
    .default('off')
    .describe('Whether the plan of a slow statement is logged too: one at a time, each once a minute at most'),
}

/** The settings by which a token is known as ours. */
export const tokenSettings = {
  TOKEN_ISSUER: z.url().default('http://127.0.0.1:3000').describe('Exact `iss` of access tokens'),
  TOKEN_AUDIENCE: z.string().default('gatehouse').describe('Exact `aud` of access tokens'),
}

/** The settings of where a process listens, and how it stops. */
export const listenSettings = {
  LISTEN_HOST: z
    .string()
    .refine(host => host !== 'localhost', 'takes one address such as 127.0.0.1: localhost may be two')
    .default('127.0.0.1')
    .describe('Address that the process listens on; 0.0.0.0 in a container'),
  DRAIN_DELAY_MS: duration('ms', 500).describe(
    'Time between "not ready" and the end of listening, for balancers to see it',
  ),
}

/** The settings of `startTelemetry`. */
export const telemetrySettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe('Where spans go, by OTLP over HTTP; unset: nowhere, trace ids still run through'),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .enum(['http/protobuf', 'http/json'])
    .default('http/protobuf')
    .describe('How spans are written; http/json takes less CPU where many are sampled, if the collector reads it'),
  TRACE_SAMPLE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Share of requests whose spans are recorded, decided at the edge'),
  TRACE_ERROR_SAMPLE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe(
      'Share of the other requests that have a span at the gateway after all when they end with 5xx; ten a second at most',
    ),
}
