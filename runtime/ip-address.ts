/** Text forms of IP addresses and the networks that they belong to. */
import { isIPv4, isIPv6 } from 'node:net'

/**
 * Returns an IPv4 address unchanged, and the /64 prefix of an IPv6 address. Providers assign at least a /64 to each
 * customer (RFC 6177), who could otherwise use a new address for each request.
 */
export function networkOf(address: string): string {
  if (isIPv4(address)) return address
  const network = groupsOf(address).slice(0, 4)
  return `${network.map(group => group.toString(16)).join(':')}::/64`
}

const MAPPED_PREFIX = '::ffff:'

/** Converts an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) to IPv4. Undefined if `text` is not an IP address. */
export function normalizeAddress(text: string | undefined): string | undefined {
  if (text === undefined || isIPv4(text)) return text
  // Fast path: a socket that listens on `::` reports each IPv4 peer in this form.
  if (text.startsWith(MAPPED_PREFIX) && isIPv4(text.slice(MAPPED_PREFIX.length)))
    return text.slice(MAPPED_PREFIX.length)
  if (!isIPv6(text)) return undefined
  const groups = groupsOf(text)
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  return isMapped ? groups.slice(6).flatMap(bytesOf).join('.') : text
}

/** Returns the eight 16-bit groups of an IPv6 address (RFC 4291 section 2.2). The zone is dropped. */
function groupsOf(address: string): number[] {
  const [withoutZone = ''] = address.split('%', 1)
  const [head = '', tail] = withoutZone.split('::')
  const before = parseGroups(head)
  const after = tail === undefined ? [] : parseGroups(tail)
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

/** Parses the groups on one side of `::`. The last two groups may be in dotted-decimal form. */
function parseGroups(part: string): number[] {
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
