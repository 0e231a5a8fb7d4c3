/**
 * gRPC targets, a subset of https://github.com/grpc/grpc/blob/master/doc/naming.md:
 *
 *   target  = [ "dns:" [ "//" [ server ] "/" ] | "ipv4:" | "ipv6:" ] address *( "," address )
 *   address = host ":" port      ; an IPv6 host is in brackets
 *
 * The DNS server is accepted and ignored.
 */
import { isIP } from 'node:net'

export interface Endpoint {
  /** An IP address or a host name. */
  readonly host: string
  readonly port: number
}

export interface Target {
  /** Value of `:authority`: the first address as written. */
  readonly authority: string
  /** Host of the first address, against which the server's certificate is verified by default. */
  readonly host: string
  readonly addresses: readonly Endpoint[]
  /** Whether at least one address has a host name, so that resolving it again may give another result. */
  readonly hasNames: boolean
}

/** @throws TypeError for an invalid target. */
export function parseTarget(target: string): Target {
  const list = target.replace(/^(?:dns:(?:\/\/[^/]*\/)?|ipv[46]:)/, '').split(',')
  const addresses = list.map(address => parseAddress(address.trim(), target))
  const [first] = addresses
  if (first === undefined) throw new TypeError(`${target} has no address`)
  return {
    authority: list[0]?.trim() ?? '',
    host: first.host,
    addresses,
    hasNames: addresses.some(({ host }) => isIP(host) === 0),
  }
}

function parseAddress(address: string, target: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s]+)):([0-9]{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new TypeError(
      `${JSON.stringify(target)} is not a valid target: expected host:port, dns:///host:port or a comma-separated list`,
    )
  }
  return { host: (match[1] ?? match[2]) as string, port }
}

/** Returns `host:port`, with an IPv6 host in brackets. */
export function endpointName({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
