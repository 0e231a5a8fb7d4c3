import { z } from 'zod'
import { duration, logLevel, port, secret, telemetrySettings } from '#runtime/env.ts'

/** What migrate.ts reads. */
export const migrationSettings = {
  DATABASE_URL: z
    .string()
    .describe("PostgreSQL, as the service's own role: postgres://<role>:<password>@host:5432/gatehouse"),
  LOG_LEVEL: logLevel(),
}

/** What main.ts reads. */
export const settings = {
  ...migrationSettings,
  LISTEN_HOST: z.string().default('127.0.0.1').describe('Address that the process listens on; 0.0.0.0 in a container'),
  USER_SVC_PORT: port().default(50052).describe('Port of user-svc (gRPC)'),
  DATABASE_POOL_SIZE: z.coerce
    .number('takes a whole number')
    .int()
    .positive()
    .optional()
    .describe('Connections to PostgreSQL at most; unset: twice the cores and one'),
  AUTH_SVC_ADDRESS: z.string().default('127.0.0.1:50051').describe('Address of auth-svc, for the keys of tokens'),
  TOKEN_ISSUER: z.url().default('http://127.0.0.1:3000').describe('Exact `iss` of access tokens'),
  TOKEN_AUDIENCE: z.string().default('gatehouse').describe('Exact `aud` of access tokens'),
  PAGE_TOKEN_SECRET: secret().describe('Signs page tokens: 32 bytes in base64, the same for every replica'),
  DRAIN_DELAY_MS: duration('ms', 500).describe(
    'Time between "not ready" and the end of listening, for balancers to see it',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: telemetrySettings.OTEL_EXPORTER_OTLP_ENDPOINT,
}
