import type { FastifyRequest } from 'fastify'
import { normalizeAddress } from '#runtime/ip-address.ts'

/**
 * Returns the IP address of the client, from X-Forwarded-For if the peer is a trusted proxy and the header has a valid
 * address, else of the peer. Undefined if the connection is closed, because its socket has no address then.
 */
export function clientAddress(request: FastifyRequest): string | undefined {
  const { ip }: { readonly ip?: string } = request
  return normalizeAddress(ip) ?? normalizeAddress(request.socket.remoteAddress)
}
