import { z } from 'zod'
import {
  count,
  databaseSettings,
  grpcSettings,
  listenSettings,
  metricsPort,
  port,
  secret,
  telemetrySettings,
  tokenSettings,
} from '#runtime/process/env.ts'

/** The settings of user-svc. */
export const settingsSchema = {
  ...databaseSettings,
  ...listenSettings,
  ...tokenSettings,
  ...grpcSettings,
  USER_SVC_PORT: port().default(50052).describe('Port on which user-svc serves gRPC; 0 selects any free port.'),
  USER_SVC_METRICS_PORT: metricsPort(9466),
  AUTH_SVC_ADDRESS: z
    .string()
    .default('127.0.0.1:50051')
    .describe(
      'Address (host:port) of auth-svc, from which user-svc fetches the key set that verifies tokens, and the sessions for exports.',
    ),
  PAGE_TOKEN_SECRET: secret().describe(
    'Key that signs page tokens: 32 random bytes in base64. All replicas must use the same key. A change invalidates page tokens in use.',
  ),
  RETENTION_DAYS: count(30).describe(
    'Retention period in days. Deleted documents and comments are purged, and deactivated accounts erased, after this time.',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: telemetrySettings.OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_PROTOCOL: telemetrySettings.OTEL_EXPORTER_OTLP_PROTOCOL,
}
