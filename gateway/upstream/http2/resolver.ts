/**
 * Where an upstream is. https://github.com/grpc/grpc/blob/master/doc/naming.md, of which:
 *
 *   target  = [ "dns:" [ "//" [ server ] "/" ] | "ipv4:" | "ipv6:" ] address *( "," address )
 *   address = host ":" port, with an IPv6 host in brackets
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Endpoint } from './socket.ts'

export interface Target {
  /** What `:authority` and the certificate are about: the first address as it is written. */
  readonly authority: string
  readonly host: string
  readonly addresses: readonly Endpoint[]
  /** Whether a name is among them, whose addresses may change. */
  readonly isNamed: boolean
}

/** @throws TypeError */
export function parseTarget(target: string): Target {
  const list = target.replace(/^(?:dns:(?:\/\/[^/]*\/)?|ipv[46]:)/, '').split(',')
  const addresses = list.map(address => parseAddress(address.trim(), target))
  const [first] = addresses
  if (first === undefined) throw new TypeError(`${target} has no address`)
  return {
    authority: list[0]?.trim() ?? '',
    host: first.host,
    addresses,
    isNamed: addresses.some(({ host }) => isIP(host) === 0),
  }
}

function parseAddress(address: string, target: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s]+)):([0-9]{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new TypeError(`${JSON.stringify(target)} is not an address: it takes host:port, dns:///host:port or a list`)
  }
  return { host: (match[1] ?? match[2]) as string, port }
}

/** @param lookUp the addresses of a name. */
export type LookUp = (name: string) => Promise<readonly string[]>

/** By the system's own resolver, so that /etc/hosts and search domains count. */
export async function lookUpName(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

/** Every address that the target stands for, once. @throws Error if no name could be looked up. */
export async function resolve({ addresses }: Target, lookUp: LookUp): Promise<Endpoint[]> {
  const found = new Map<string, Endpoint>()
  const failures: unknown[] = []
  const failed = (error: unknown): string[] => {
    failures.push(error)
    return []
  }
  for (const { host, port } of addresses) {
    const hosts = isIP(host) === 0 ? await lookUp(host).catch(failed) : [host]
    for (const address of hosts) {
      const endpoint = { host: address, port }
      found.set(endpointName(endpoint), endpoint)
    }
  }
  if (found.size === 0) throw new AggregateError(failures, 'The name has no addresses')
  return [...found.values()]
}

export function endpointName({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
