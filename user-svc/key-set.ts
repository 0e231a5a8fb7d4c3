import { AuthServiceClient } from '#proto/auth/v1/auth.ts'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import type { Logger } from '#runtime/observability/logger.ts'

/** The keys that auth-svc signs tokens with, asked from it. It need not be there: keys are fetched when one is wanted. */
export function openKeySet(authAddress: string, logger: Logger) {
  const client = createClient(AuthServiceClient, authAddress)
  const keys = createRemoteKeySet({ fetch: async () => (await callUnary(client, client.getJwks, {})).keys, logger })
  return { keys, close: () => client.close() }
}
