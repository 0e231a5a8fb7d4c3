/** What every case stands on: stores, backend, a stub of auth-svc, a collector; all on the core of the load. */
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
import { type GatewayOptions, type ServerUnderTest, startScript, waitUntilAnswering } from './server-under-test.ts'
import { createSigningKey, type SigningKey } from './tokens.ts'

export interface Surroundings {
  readonly stores: RunningStores
  /** For whatever is started: it ends with the stores, however the bench ends. */
  readonly env: NodeJS.ProcessEnv
  readonly contract: BenchContract
  readonly backend: Backend
  readonly key: SigningKey
  /** Fastify with a fixed answer, in a process of its own. */
  readonly floor: ServerUnderTest
  /** Of a gateway in front of the backend, without traces. */
  readonly gateway: GatewayOptions
  /** Of a logical database. The first is the gateways'. */
  redisUrlOf(database: number): string
  readonly redisUrl: string
  readonly otlpOrigin: string
  stop(): Promise<void>
}

/** Of the contract: about as many as ours. */
const ROUTES = 10

export async function openSurroundings(): Promise<Surroundings> {
  pin(process.pid, 'load')
  const stores = await startStores()
  const env = { ...process.env, ...stores.env }
  const redisUrlOf = (database: number) => `${stores.stores.redis}/${database}`
  const redisUrl = redisUrlOf(1)
  await beginRevocationStream(redisUrl)
  const heartbeat = await vouchForRevocations(redisUrl)
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
  await waitUntilAnswering(otlpOrigin)
  const floor = await startScript('floor', {
    script: 'floor.ts',
    args: [path.join(BENCH_DIRECTORY, 'user.json')],
    env,
  })
  return {
    stores,
    env,
    contract,
    backend,
    key,
    floor,
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
      await floor.stop()
      heartbeat.stop()
      authStub.stop()
      sink.kill()
      await sink
      await backend.stop()
      await stores.stop()
    },
  }
}

/** As auth-svc does at its start: without an epoch the gateways know of no revocations, and let nobody in. */
export async function beginRevocationStream(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  await redis.set('gatehouse:revocations:epoch', randomUUID())
  await redis.quit()
}

/** As auth-svc does each second; where it does not, gateways ask it for all revocations again and again. */
export async function vouchForRevocations(redisUrl: string): Promise<{ stop(): void }> {
  const redis = new Redis(redisUrl)
  const vouch = () => redis.set('gatehouse:revocations:heartbeat', Date.now())
  await vouch()
  const timer = setInterval(vouch, 1000)
  return {
    stop() {
      clearInterval(timer)
      redis.disconnect()
    },
  }
}
