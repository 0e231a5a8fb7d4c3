import path from 'node:path'
import { z } from 'zod'
import { count, metricsPort, port } from '#runtime/process/env.ts'
import { ROOT } from './migrate.ts'

/** What `make up` reads besides the settings of the processes, which it passes on. */
export const devSettings = {
  DATA_DIR: z
    .string()
    .default('.data')
    .transform(folder => path.resolve(ROOT, folder))
    .describe('Where `make up` keeps databases, secrets and logs'),
  GATEWAY_PORT: port().default(3000).describe('Port of the REST API'),
  AUTH_SVC_PORT: port().default(50051).describe('Port of auth-svc (gRPC)'),
  USER_SVC_PORT: port().default(50052).describe('Port of user-svc (gRPC)'),
  GATEWAY_METRICS_PORT: metricsPort(9464),
  AUTH_SVC_METRICS_PORT: metricsPort(9465),
  USER_SVC_METRICS_PORT: metricsPort(9466),
  // Not the usual ones, on which a developer's own servers may run.
  POSTGRES_PORT: port().default(55432).describe('Port of the PostgreSQL that `make up` runs'),
  REDIS_PORT: port().default(56379).describe('Port of the Redis that `make up` runs'),
  PUBLIC_URL: z.url().optional().describe('Where clients reach the gateway; unset: its port on 127.0.0.1'),
  REDIS_URL: z.url().optional().describe('A Redis to use; unset: `make up` runs one'),
  ADMIN_EMAIL: z.string().optional().describe('The administrator that the first boot creates'),
  ADMIN_PASSWORD: z.string().optional().describe('Unset: the first boot generates one and prints it once'),
}

/** What `make seed` reads besides. */
export const seedSettings = {
  USERS: count(1000).describe('Users that `make seed` makes'),
  DOCS: count(10_000).describe('Documents that it makes, with as many comments'),
  SEED: count(1).describe('The same number makes the same data, but for its age'),
}
