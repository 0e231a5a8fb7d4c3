import proxyAddr from '@fastify/proxy-addr'

/** Returns whether an IP address is in one of `networks`, which have the notation of `trustProxy` in Fastify. */
export function trustedAddresses(networks: readonly string[]): (address: string) => boolean {
  if (networks.length === 0) return () => false
  const isTrusted = proxyAddr.compile([...networks])
  return address => isTrusted(address, 0)
}
