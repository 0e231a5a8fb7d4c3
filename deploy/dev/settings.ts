import path from 'node:path'
import { z } from 'zod'
import { count, metricsPort, port } from '#runtime/process/env.ts'
import { ROOT } from './migrate.ts'

/** Settings of `make up`. It passes the settings of the services on to them. */
export const devSettings = {
  DATA_DIR: z
    .string()
    .default('.data')
    .transform(folder => path.resolve(ROOT, folder))
    .describe('Folder in which `make up` keeps databases, secrets and logs'),
  GATEWAY_PORT: port().default(3000).describe('Port of the REST API'),
  AUTH_SVC_PORT: port().default(50051).describe('Port of auth-svc (gRPC)'),
  USER_SVC_PORT: port().default(50052).describe('Port of user-svc (gRPC)'),
  GATEWAY_METRICS_PORT: metricsPort(9464),
  AUTH_SVC_METRICS_PORT: metricsPort(9465),
  USER_SVC_METRICS_PORT: metricsPort(9466),
  // Not the standard ports, on which servers of the developer may run.
  POSTGRES_PORT: port().default(55432).describe('Port of the PostgreSQL that `make up` runs'),
  REDIS_PORT: port().default(56379).describe('Port of the Redis that `make up` runs'),
  PUBLIC_URL: z.url().optional().describe('URL at which clients reach the gateway. Default: its port on 127.0.0.1'),
  REDIS_URL: z.url().optional().describe('URL of the Redis to use. Default: `make up` runs one'),
  ADMIN_EMAIL: z.string().optional().describe('E-mail address of the administrator that the first start creates'),
  ADMIN_PASSWORD: z
    .string()
    .optional()
    .describe('Password of that administrator. Default: generated, and printed once'),
}

/** Settings of `make seed`, in addition to those of `make up`. */
export const seedSettings = {
  USERS: count(1000).describe('Number of users that `make seed` creates'),
  DOCS: count(10_000).describe('Number of documents that `make seed` creates, and of comments'),
  SEED: count(1).describe('Seed of the sample data. The same seed gives the same data, except for times'),
}
