import { z } from 'zod'
import {
  count,
  databaseSettings,
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
  USER_SVC_PORT: port().default(50052).describe('Port of user-svc (gRPC)'),
  USER_SVC_METRICS_PORT: metricsPort(9466),
  AUTH_SVC_ADDRESS: z.string().default('127.0.0.1:50051').describe('Address of auth-svc, for the keys of tokens'),
  PAGE_TOKEN_SECRET: secret().describe('Signs page tokens: 32 bytes in base64, the same for every replica'),
  RETENTION_DAYS: count(30).describe(
    'Days after which what was deleted is gone for good, and a closed account is erased',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: telemetrySettings.OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_PROTOCOL: telemetrySettings.OTEL_EXPORTER_OTLP_PROTOCOL,
}
