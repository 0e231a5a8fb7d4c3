/** What the gateway needs from auth-svc to verify access tokens: public keys and revocations. */
import { AuthServiceClient } from '#proto/auth/v1/auth.ts'
import { RevocationServiceClient } from '#proto/auth/v1/revocations.ts'
import { createRemoteKeySet, type RemoteKeySet } from '#runtime/auth/key-set.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { fetchSnapshot } from './edge/revocations/revocation-entries.ts'
import { followRevocations, type RevocationFollower } from './edge/revocations/revocation-follower.ts'
import { createRevocationSet, type RevocationSet } from './edge/revocations/revocation-set.ts'

export interface AuthServiceOptions {
  /** gRPC target of auth-svc (AUTH_SVC_ADDRESS), such as `127.0.0.1:50051`. */
  readonly address: string
  /** URL of the Redis that has the revocation stream. */
  readonly redisUrl: string
  /** Maximum heartbeat age in milliseconds while auth-svc is unavailable. Above it, all access tokens are rejected. */
  readonly maxHeartbeatAgeMs: number
  readonly logger: Logger
  /** Called for each revocation that is applied, with the time since it was written, in milliseconds. */
  readonly onRevocationApplied: (lagMs: number) => void
}

/** The state that is kept in sync with auth-svc. */
export interface AuthServiceConnection {
  readonly keys: RemoteKeySet
  readonly revocations: RevocationSet
  readonly follower: RevocationFollower
  /** Closes the gRPC channels. Stop `follower` first. */
  close(): void
}

/** Connects to auth-svc and follows the revocation stream. Returns before the keys and the revocations are loaded. */
export function connectAuthService(options: AuthServiceOptions): AuthServiceConnection {
  const { address, redisUrl, maxHeartbeatAgeMs, logger, onRevocationApplied } = options
  const authClient = createClient(AuthServiceClient, address, 'AUTH_SVC_ADDRESS')
  const revocationClient = createClient(RevocationServiceClient, address, 'AUTH_SVC_ADDRESS')
  const keys = createRemoteKeySet({
    fetch: async () => (await callUnary(authClient, authClient.getJwks, {})).keys,
    logger,
  })
  // At the start, so that the log has the reason before the first token arrives.
  keys.refresh().catch((error: Error) => logger.warn(`cannot fetch the key set of auth-svc yet: ${error.message}`))

  // ioredis must not resend a command after a reconnect: Redis may have been replaced, which the follower must detect.
  const redis = createRedis(redisUrl, logger, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 })
  const revocations = createRevocationSet()
  const follower = followRevocations({
    redis,
    snapshot: signal => fetchSnapshot(revocationClient, signal),
    maxHeartbeatAgeMs,
    set: revocations,
    logger,
    onApplied: onRevocationApplied,
  })

  return {
    keys,
    revocations,
    follower,
    close() {
      authClient.close()
      revocationClient.close()
    },
  }
}
