/**
 * The processes that all cases need: stores, backend, a stub of auth-svc, a trace collector. They run on the core of
 * the load.
 */
import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { execa } from 'execa'
import getPort from 'get-port'
import { Redis } from 'ioredis'
import { type RunningStores, startStores } from '../support/stores.ts'
import { startAuthStub } from './auth-stub.ts'
import { type Backend, startBackend } from './backend.ts'
import { type BenchContract, writeContract } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { pin } from './pinned.ts'
import { type GatewayOptions, type ServerUnderTest, startScript, waitUntilResponding } from './server-under-test.ts'
import { createSigningKey, type SigningKey } from './tokens.ts'

export interface BenchEnvironment {
  readonly stores: RunningStores
  /**
   * Environment variables for further processes. They make the processes exit with the stores, even if the bench
   * crashes.
   */
  readonly env: NodeJS.ProcessEnv
  readonly contract: BenchContract
  readonly backend: Backend
  readonly key: SigningKey
  /** Fastify with a fixed response. */
  readonly baseline: ServerUnderTest
  /** Options of a gateway for the backend, without tracing. */
  readonly gateway: GatewayOptions
  redisUrlOf(database: number): string
  /** Logical database 1, which the gateways use. */
  readonly redisUrl: string
  readonly otlpOrigin: string
  stop(): Promise<void>
}

/** Number of routes of the contract. */
const ROUTES = 10

/** Starts the environment and pins this process to the core of the load. */
export async function startEnvironment(): Promise<BenchEnvironment> {
  pin(process.pid, 'load')
  const stores = await startStores()
  const env = { ...process.env, ...stores.env }
  const redisUrlOf = (database: number) => `${stores.stores.redis}/${database}`
  const redisUrl = redisUrlOf(1)
  await initializeRevocationStream(redisUrl)
  const heartbeat = await startHeartbeat(redisUrl)
  const contract = writeContract(ROUTES)
  const backend = await startBackend(contract, env)
  const key = createSigningKey()
  const authStub = await startAuthStub(key, 0)
  const otlpPort = await getPort()
  const sink = execa(process.execPath, [path.join(import.meta.dirname, 'otlp-sink.ts'), String(otlpPort)], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
  })
  const otlpOrigin = `http://127.0.0.1:${otlpPort}`
  await waitUntilResponding(otlpOrigin)
  const baseline = await startScript('baseline', {
    script: 'baseline.ts',
    args: [path.join(BENCH_DIRECTORY, 'user.json')],
    env,
  })
  return {
    stores,
    env,
    contract,
    backend,
    key,
    baseline,
    gateway: {
      authSvcAddress: authStub.address,
      backendAddress: backend.grpcAddress,
      image: contract.image,
      redisUrl,
      env,
    },
    redisUrlOf,
    redisUrl,
    otlpOrigin,
    async stop() {
      await baseline.stop()
      heartbeat.stop()
      authStub.stop()
      sink.kill()
      await sink
      await backend.stop()
      await stores.stop()
    },
  }
}

/** Sets the epoch of the revocation stream, like auth-svc at its start. Without it, gateways reject all tokens. */
export async function initializeRevocationStream(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  await redis.set('gatehouse:revocations:epoch', randomUUID())
  await redis.quit()
}

/**
 * Sends the heartbeat of auth-svc every second. Without it, gateways repeatedly fetch all revocations from auth-svc.
 */
export async function startHeartbeat(redisUrl: string): Promise<{ stop(): void }> {
  const redis = new Redis(redisUrl)
  const beat = () => redis.set('gatehouse:revocations:heartbeat', Date.now())
  await beat()
  const timer = setInterval(beat, 1000)
  return {
    stop() {
      clearInterval(timer)
      redis.disconnect()
    },
  }
}
