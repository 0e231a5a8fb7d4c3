/** What every case stands on: stores, backend, a stub of auth-svc, tokens; all on the core of the load. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { type RunningStores, startStores } from '../support/stores.ts'
import { type AuthStub, startAuthStub } from './auth-stub.ts'
import { type Backend, startBackend } from './backend.ts'
import { type BenchContract, writeContract } from './contract.ts'
import { pinThisProcess } from './pinned.ts'
import { createSigningKey, type SigningKey } from './tokens.ts'

export interface Surroundings {
  readonly stores: RunningStores
  /** For whatever is started: it ends with the stores, however the bench ends. */
  readonly env: NodeJS.ProcessEnv
  readonly contract: BenchContract
  readonly backend: Backend
  readonly key: SigningKey
  readonly authStub: AuthStub
  readonly redisUrl: string
  stop(): Promise<void>
}

/** Routes of the contract; one of the size of ours. */
const ROUTES = 10
/** Of the Redis server: the logical database of the gateways under test. */
const REDIS_DATABASE = 1

export async function openSurroundings(): Promise<Surroundings> {
  pinThisProcess()
  const stores = await startStores()
  const redisUrl = `${stores.stores.redis}/${REDIS_DATABASE}`
  await beginRevocationStream(redisUrl)
  const contract = writeContract(ROUTES)
  const backend = await startBackend(contract)
  const key = createSigningKey()
  const authStub = await startAuthStub(key, 0)
  return {
    stores,
    env: { ...process.env, ...stores.env },
    contract,
    backend,
    key,
    authStub,
    redisUrl,
    async stop() {
      authStub.stop()
      await backend.stop()
      await stores.stop()
    },
  }
}

/** As auth-svc does at its start: without an epoch the gateways know of no revocations, and let nobody in. */
async function beginRevocationStream(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  await redis.set('gatehouse:revocations:epoch', randomUUID())
  await redis.quit()
}
