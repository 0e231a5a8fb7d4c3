import { z } from 'zod'
import {
  count,
  databaseSettings,
  duration,
  listenSettings,
  metricsPort,
  port,
  secret,
  telemetrySettings,
  tokenSettings,
} from '#runtime/process/env.ts'

/** What main.ts reads. */
export const settings = {
  ...databaseSettings,
  ...listenSettings,
  ...tokenSettings,
  AUTH_SVC_PORT: port().default(50051).describe('Port of auth-svc (gRPC)'),
  AUTH_SVC_METRICS_PORT: metricsPort(9465),
  REDIS_URL: z.url().describe('Redis, for refresh families and the revocation stream; noeviction, append-only file'),
  USER_SVC_ADDRESS: z.string().default('127.0.0.1:50052').describe('Address of user-svc'),
  PASSWORD_PEPPER: secret().describe('Key of the HMAC that passwords go through first: 32 bytes in base64'),
  REFRESH_TOKEN_SECRET: secret().describe('Signs refresh tokens: 32 bytes in base64; another one ends every session'),
  SIGNING_KEY_SECRET: secret().describe('Encrypts the stored signing keys: 32 bytes in base64'),
  BCRYPT_COST: z.coerce
    .number('takes a whole number')
    .int()
    .min(10)
    .max(15)
    .default(12)
    .describe('Cost of new password hashes; older ones follow at the next sign-in'),
  PASSWORD_QUEUE_LIMIT: z.coerce
    .number('takes a whole number')
    .int()
    .positive()
    .optional()
    .describe('Passwords that may wait to be hashed; unset: 32 for each core, about 5 s'),
  ACCESS_TOKEN_TTL_S: count(15 * 60).describe('Seconds that an access token is good for'),
  REFRESH_TOKEN_TTL_S: count(7 * 24 * 3600).describe('Seconds after which a refresh token that is not used expires'),
  SESSION_TTL_S: count(30 * 24 * 3600).describe('Seconds after which a session ends even if it is used'),
  REFRESH_GRACE_MS: duration('ms', 10_000).describe('Time in which a refresh that is repeated gets the same successor'),
  REUSE_SCOPE: z
    .enum(['user', 'session'])
    .default('user')
    .describe('Which sessions end when a refresh token is used again: all of the user, or its own'),
  SIGNING_KEY_PERIOD_S: count(30 * 24 * 3600).describe('Seconds that a signing key signs for'),
  SIGNING_KEY_LEAD_S: count(10 * 60).describe(
    'Seconds that a signing key is published before it signs; at least twice as long as verifiers keep the key set',
  ),
  ADMIN_EMAIL: z.string().optional().describe('E-mail address of the first administrator, created at boot'),
  ADMIN_PASSWORD: z
    .string()
    .optional()
    .describe("The first administrator's password; not read once the account is there"),
  OTEL_EXPORTER_OTLP_ENDPOINT: telemetrySettings.OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_PROTOCOL: telemetrySettings.OTEL_EXPORTER_OTLP_PROTOCOL,
}
