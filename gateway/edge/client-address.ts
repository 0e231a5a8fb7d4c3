/** Whom an address stands for: IPv4 whole, IPv6 by its /64, which one customer has as a rule (RFC 6177). */
import { isIPv4, isIPv6 } from 'node:net'

const MAPPED = '::ffff:'

/**
 * @param address as the socket or a trusted proxy gives it.
 * @returns the same text for all addresses that are one client; undefined for what is no address. At most 43 characters.
 */
export function clientNetwork(address: string): string | undefined {
  if (isIPv4(address)) return address
  // Every IPv4 client of a socket that listens on `::` has this form.
  if (address.startsWith(MAPPED) && isIPv4(address.slice(MAPPED.length))) return address.slice(MAPPED.length)
  if (!isIPv6(address)) return undefined
  const groups = groupsOf(address)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  if (isMapped) return groups.slice(6).flatMap(bytesOf).join('.')
  return `${groups
    .slice(0, 4)
    .map(group => group.toString(16))
    .join(':')}::/64`
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
