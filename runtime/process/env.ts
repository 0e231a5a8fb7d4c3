/** Settings: environment variables, parsed once at boot. */
import { z } from 'zod'

/** Settings of a process: a schema per environment variable. The documentation is generated from `.describe()`. */
export type SettingsShape = Record<string, z.ZodType>

/** Parsed settings. */
export type Settings<S extends SettingsShape> = Readonly<{ [K in keyof S]: z.output<S[K]> }>

/** One or more settings are missing or invalid. The message has a line for each. */
export class SettingsError extends Error {
  override name = 'SettingsError'
}

/**
 * Parses all settings of a process. An empty or blank variable counts as unset, because Compose and Kubernetes cannot
 * unset one.
 * @returns a frozen object.
 * @throws SettingsError that lists all missing and invalid settings, without their values.
 */
export function readSettings<S extends SettingsShape>(shape: S, env: NodeJS.ProcessEnv = process.env): Settings<S> {
  const given = Object.fromEntries(
    Object.keys(shape).map(name => [name, env[name]?.trim() === '' ? undefined : env[name]]),
  )
  const result = z.object(shape).safeParse(given)
  if (result.success) return Object.freeze(result.data) as Settings<S>
  const lines = result.error.issues.map(issue => {
    const name = String(issue.path[0])
    const reason = given[name] === undefined ? 'is not set' : issue.message
    return `  ${name}: ${reason} (${shape[name]?.description ?? 'undocumented'})`
  })
  throw new SettingsError(`Invalid settings:\n${lines.join('\n')}`)
}

/** A TCP port from 0 to 65535; 0 binds a free port. */
export const port = () => z.coerce.number('must be a port number').int().min(0).max(65_535)

/** A TCP port, or `off`, which becomes undefined. */
export const metricsPort = (fallback: number) =>
  z
    .union([z.literal('off'), port()], 'must be a port number or off')
    .default(fallback)
    // After the default, which zod also applies to an output of undefined.
    .transform(value => (value === 'off' ? undefined : value))
    .describe('Port of /metrics, on the same address. 0 binds a free port, which is logged; off disables it')

/** A positive number of milliseconds or seconds. */
export const duration = (unit: 'ms' | 's', fallback: number) =>
  z.coerce.number(`must be a number of ${unit}`).positive().default(fallback)

/** A positive integer. */
export const count = (fallback: number) => z.coerce.number('must be an integer').int().positive().default(fallback)

/** A key of 32 bytes in base64, such as the output of `openssl rand -base64 32`. Parsed to a Buffer. */
export const secret = () =>
  z
    .string()
    .transform(text => Buffer.from(text, 'base64'))
    .refine(bytes => bytes.length === 32, 'must be 32 bytes in base64')

/** A log level of pino. Default `info`. */
export const logLevel = () =>
  z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('Minimum level of log messages')

/** Settings of the migration command of a service. */
export const migrationSettings = {
  DATABASE_URL: z
    .string()
    .describe("URL of PostgreSQL with the service's own role: postgres://<role>:<password>@host:5432/gatehouse"),
  LOG_LEVEL: logLevel(),
}

/** Settings of a service's database (see `DatabaseOptions`). */
export const databaseSettings = {
  ...migrationSettings,
  DATABASE_POOL_SIZE: z.coerce
    .number('must be an integer')
    .int()
    .positive()
    .optional()
    .describe(
      'Maximum number of connections to PostgreSQL, in addition to those of the job queue and of administration; default: twice the CPU cores plus one',
    ),
  DATABASE_ACQUIRE_TIMEOUT_MS: duration('ms', 2000).describe(
    'Maximum time to wait for a connection to PostgreSQL; then 503 with the code database_busy',
  ),
  DATABASE_STATEMENT_TIMEOUT_MS: duration('ms', 2500).describe('Maximum time of one SQL statement; then 504'),
  DATABASE_PREPARED: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      'Use of prepared statements; off behind a connection pooler in transaction mode, such as PgBouncer before 1.21',
    ),
  DATABASE_SLOW_MS: duration('ms', 250).describe(
    'Duration from which an SQL statement is logged, without parameter values',
  ),
  DATABASE_SLOW_PLANS: z
    .enum(['on', 'off'])
    .default('off')
    .describe('Also log the query plan of slow statements: one plan at a time, each statement at most once a minute'),
}

/** Settings of access tokens, the same for all processes. */
export const tokenSettings = {
  TOKEN_ISSUER: z.url().default('http://127.0.0.1:3000').describe('Issuer (`iss`) of access tokens, compared exactly'),
  TOKEN_AUDIENCE: z.string().default('gatehouse').describe('Audience (`aud`) of access tokens, compared exactly'),
}

/** Settings of the listening address and of the shutdown. */
export const listenSettings = {
  LISTEN_HOST: z
    .string()
    .refine(host => host !== 'localhost', 'must be one address such as 127.0.0.1; localhost can resolve to two')
    .default('127.0.0.1')
    .describe('Address to listen on; 0.0.0.0 in a container'),
  DRAIN_DELAY_MS: duration('ms', 500).describe(
    'Time between reporting "not ready" and closing the listening socket, for load balancers to react',
  ),
}

/** Settings of the gRPC server of a service. */
export const grpcSettings = {
  GRPC_REFLECTION: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      'gRPC server reflection (v1 and v1alpha): `on` offers the contract, with all of its options, to any client that reaches the port',
    ),
}

/** Settings of tracing (see `startTelemetry`). */
export const telemetrySettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe(
      'Base URL of the OTLP/HTTP trace collector. Unset: no spans are recorded; trace ids are still propagated',
    ),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .enum(['http/protobuf', 'http/json'])
    .default('http/protobuf')
    .describe('Encoding of spans. http/json takes less CPU time, but not every collector supports it'),
  TRACE_SAMPLE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Share of requests whose spans are recorded, from 0 to 1. Decided by the gateway'),
  TRACE_ERROR_SAMPLE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe(
      'Share of unsampled requests with a 5xx response whose span is recorded, from 0 to 1; at most 10 per second',
    ),
}
