/** Who a client is by its address, and whom it stands for. */
import { isIPv4, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * An IPv4 or IPv6 address. A proxy that is trusted may pass on what is none: its own then counts.
 * @returns undefined when the client is gone, whose socket has none any more.
 */
export function clientAddress(request: FastifyRequest): string | undefined {
  const { ip }: { readonly ip?: string } = request
  return addressIn(ip) ?? addressIn(request.socket.remoteAddress)
}

/** IPv4 stands for itself, IPv6 for its /64, which one customer has as a rule (RFC 6177). */
export function networkOf(address: string): string {
  if (isIPv4(address)) return address
  const network = groupsOf(address).slice(0, 4)
  return `${network.map(group => group.toString(16)).join(':')}::/64`
}

const MAPPED = '::ffff:'

/** @returns undefined for what is no address. An IPv4 address that is mapped into IPv6 is one of IPv4. */
export function addressIn(text: string | undefined): string | undefined {
  if (text === undefined || isIPv4(text)) return text
  // Every IPv4 client of a socket that listens on `::` has this form.
  if (text.startsWith(MAPPED) && isIPv4(text.slice(MAPPED.length))) return text.slice(MAPPED.length)
  if (!isIPv6(text)) return undefined
  const groups = groupsOf(text)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  return isMapped ? groups.slice(6).flatMap(bytesOf).join('.') : text
}

/** The eight groups of an IPv6 address (RFC 4291 section 2.2), without its zone. */
function groupsOf(address: string): number[] {
  const [withoutZone = ''] = address.split('%', 1)
  const [head = '', tail] = withoutZone.split('::')
  const before = partGroups(head)
  const after = tail === undefined ? [] : partGroups(tail)
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function partGroups(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap(group => {
    if (!group.includes('.')) return Number.parseInt(group, 16)
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

function bytesOf(group: number): number[] {
  return [group >> 8, group & 0xff]
}
