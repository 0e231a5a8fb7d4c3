/**
 * The three processes of Gatehouse: how each is started, and what each must know of the others. Its own secrets go to
 * each, and no other's.
 */
import path from 'node:path'
import { ROOT } from './migrate.ts'
import { waitUntilReady, waitUntilServing } from './readiness.ts'
import type { Secrets } from './secrets.ts'

export interface Surroundings {
  ports: { gateway: number; authSvc: number; userSvc: number }
  publicUrl: string
  /** PostgreSQL, as each service's own role. */
  authUrl: string
  userUrl: string
  redisUrl: string
  secrets: Omit<Secrets, 'POSTGRES_PASSWORD' | 'AUTH_SVC_PASSWORD' | 'USER_SVC_PASSWORD'>
  /** Whom auth-svc is to create, when there is none. */
  administrator: { email: string; password: string } | undefined
}

export type ServiceName = 'gateway' | 'auth-svc' | 'user-svc'

export type ServiceEnvironments = Record<ServiceName, Record<string, string>>

/** Of processes beside others of their kind, such as a test's: /metrics stands on any port that is free. */
export const ANY_METRICS_PORTS = { GATEWAY_METRICS_PORT: '0', AUTH_SVC_METRICS_PORT: '0', USER_SVC_METRICS_PORT: '0' }

export function composeEnvironments(around: Surroundings): ServiceEnvironments {
  const { ports, publicUrl, secrets, administrator } = around
  const all = {
    PUBLIC_URL: publicUrl,
    TOKEN_ISSUER: publicUrl,
    AUTH_SVC_ADDRESS: `127.0.0.1:${ports.authSvc}`,
    USER_SVC_ADDRESS: `127.0.0.1:${ports.userSvc}`,
    // A process starts in 0.45 s of CPU time instead of 0.6.
    NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules/.cache/node'),
  }
  return {
    gateway: { ...all, GATEWAY_PORT: String(ports.gateway), REDIS_URL: around.redisUrl },
    'auth-svc': {
      ...all,
      AUTH_SVC_PORT: String(ports.authSvc),
      DATABASE_URL: around.authUrl,
      REDIS_URL: around.redisUrl,
      PASSWORD_PEPPER: secrets.PASSWORD_PEPPER,
      REFRESH_TOKEN_SECRET: secrets.REFRESH_TOKEN_SECRET,
      SIGNING_KEY_SECRET: secrets.SIGNING_KEY_SECRET,
      ...(administrator && { ADMIN_EMAIL: administrator.email, ADMIN_PASSWORD: administrator.password }),
    },
    'user-svc': {
      ...all,
      USER_SVC_PORT: String(ports.userSvc),
      DATABASE_URL: around.userUrl,
      PAGE_TOKEN_SECRET: secrets.PAGE_TOKEN_SECRET,
    },
  }
}

/**
 * For Node. V8's helper threads run beside the gateway on its core, four of them unless told: with one, p99 at 4500
 * requests a second was 16 to 51 ms in seven rounds instead of 36 to 66, at the same CPU, and shorter in each round.
 *
 * The young generation stays as V8 sizes it. In turn with that, one of 16 MB took 25 MB off a gateway and cost 1 to 5 % of
 * a request, one of 8 MB 37 to 53 MB and 6 to 16 %, one of 4 MB no less memory than that and 10 %.
 */
const GATEWAY_FLAGS = ['--v8-pool-size=1']

export function serviceCommand(name: ServiceName): { command: string; args: string[] } {
  const flags = name === 'gateway' ? GATEWAY_FLAGS : []
  return { command: process.execPath, args: [...flags, path.join(ROOT, name, 'main.ts')] }
}

/** Resolves when the service answers as ready. @throws when it does not in time. */
export function waitForService(name: ServiceName, env: Record<string, string>, timeoutMs = 30_000): Promise<void> {
  if (name === 'gateway') return waitUntilReady(`http://127.0.0.1:${env['GATEWAY_PORT']}`, timeoutMs)
  const port = name === 'auth-svc' ? env['AUTH_SVC_PORT'] : env['USER_SVC_PORT']
  return waitUntilServing(`127.0.0.1:${port}`, timeoutMs)
}
