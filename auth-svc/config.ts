import { z } from 'zod'
import {
  count,
  databaseSettings,
  duration,
  grpcSettings,
  listenSettings,
  metricsPort,
  port,
  type Settings,
  secret,
  telemetrySettings,
  tokenSettings,
} from '#runtime/process/env.ts'

/** The settings of auth-svc, read from the environment by main.ts. */
export const settingsSchema = {
  ...databaseSettings,
  ...listenSettings,
  ...tokenSettings,
  ...grpcSettings,
  AUTH_SVC_PORT: port().default(50051).describe('Port on which auth-svc serves gRPC; 0 selects any free port.'),
  AUTH_SVC_METRICS_PORT: metricsPort(9465),
  REDIS_URL: z
    .url()
    .describe(
      'URL of the Redis server for refresh token families, budgets of failed sign-ins and the revocation stream. It must use maxmemory-policy noeviction, and an append-only file if it persists data.',
    ),
  USER_SVC_ADDRESS: z.string().default('127.0.0.1:50052').describe('Address (host:port) of user-svc.'),
  PASSWORD_PEPPER: secret().describe(
    'Secret key of the HMAC that is applied to passwords before bcrypt: 32 bytes in base64. With another key no password matches.',
  ),
  REFRESH_TOKEN_SECRET: secret().describe(
    'Secret key that authenticates refresh tokens: 32 bytes in base64. With another key no refresh token is valid, and all users must sign in again.',
  ),
  SIGNING_KEY_SECRET: secret().describe(
    'Secret key that encrypts the stored signing keys: 32 bytes in base64. With another key auth-svc does not start.',
  ),
  BCRYPT_COST: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(10, 'must be at least 10')
    .max(15, 'must be at most 15')
    .default(12)
    .describe(
      'Cost of new password hashes, 10 to 15; each step doubles the time. A hash with a lower cost is replaced at the next sign-in.',
    ),
  PASSWORD_QUEUE_LIMIT: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .positive('must be at least 1')
    .optional()
    .describe(
      'Maximum number of passwords that wait for a bcrypt thread; beyond it, sign-ins and sign-ups are rejected with 503 `overloaded`. If unset, 32 per core, which is about 5 s of waiting.',
    ),
  SIGN_IN_FAILURES: count(5).describe(
    'Failed sign-ins that a client address (IPv6: /64) may make in SIGN_IN_FAILURES_WINDOW_S; beyond it, its sign-ins are rejected with 429. It is also the number of its sign-ins that are verified at a time.',
  ),
  SIGN_IN_FAILURES_WINDOW_S: count(15 * 60).describe(
    'Time in which SIGN_IN_FAILURES are added to the budget of a client address, evenly, in seconds.',
  ),
  ACCESS_TOKEN_TTL_S: count(15 * 60).describe('Lifetime of an access token, in seconds.'),
  REFRESH_TOKEN_TTL_S: count(7 * 24 * 3600).describe('Lifetime of a refresh token that is not used, in seconds.'),
  SESSION_TTL_S: count(30 * 24 * 3600).describe(
    'Maximum lifetime of a session, in seconds; it ends then even if it is in use.',
  ),
  REFRESH_GRACE_MS: duration('ms', 10_000).describe(
    'Grace period in which a repeated refresh returns the same refresh token, in milliseconds; after it, a repeated refresh is reuse.',
  ),
  REUSE_SCOPE: z
    .enum(['user', 'session'])
    .default('user')
    .describe(
      'Sessions that end when a refresh token is reused: all sessions of the user (`user`), or the session of the token (`session`).',
    ),
  SIGNING_KEY_PERIOD_S: count(30 * 24 * 3600).describe('Time for which a signing key signs tokens, in seconds.'),
  SIGNING_KEY_LEAD_S: count(10 * 60).describe(
    'Time for which a signing key is published before it signs, in seconds; at least twice the time for which verifiers cache the key set.',
  ),
  ADMIN_EMAIL: z
    .string()
    .optional()
    .describe(
      'E-mail address of the first administrator. The account is created at boot. If unset, no administrator is created.',
    ),
  ADMIN_PASSWORD: z
    .string()
    .optional()
    .describe('Password of the first administrator, required with ADMIN_EMAIL; ignored if the account exists already.'),
  OTEL_EXPORTER_OTLP_ENDPOINT: telemetrySettings.OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_PROTOCOL: telemetrySettings.OTEL_EXPORTER_OTLP_PROTOCOL,
}

/** The validated settings of auth-svc. */
export type AuthSettings = Settings<typeof settingsSchema>
