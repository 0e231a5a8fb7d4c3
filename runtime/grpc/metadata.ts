import type { Metadata } from '@grpc/grpc-js'

/** Metadata key of the client's IP address. Only the gateway sets it; a value sent by a client is dropped. */
export const CLIENT_ADDRESS = 'gatehouse-client-address'

/** Metadata key of the client's User-Agent. Only the gateway sets it; a value sent by a client is dropped. */
export const CLIENT_USER_AGENT = 'gatehouse-client-user-agent'

/** @returns the first value of a metadata key; undefined if it is absent. */
export function firstValue(metadata: Metadata, key: string): string | undefined {
  return metadata.get(key)[0]?.toString()
}
