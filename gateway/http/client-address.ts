/**
 * The address of the client: of the peer or, if the peer is a trusted proxy, from exactly one header, which the setting
 * CLIENT_ADDRESS_HEADER names. Proxies append to the header, so it is read from its end, up to the first address that is
 * not a trusted proxy. What is in front of that was written by the client, and is not read.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { normalizeAddress } from '#runtime/ip-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The IP address of the client. Undefined if the connection is closed, because its socket has no address then. */
    readonly clientAddress: string | undefined
  }
}

export interface ClientAddressOptions {
  /** `forwarded` is RFC 7239. */
  readonly header: 'x-forwarded-for' | 'forwarded'
  /** Whether an address is that of a trusted proxy. Undefined if there are no proxies: no header is read. */
  readonly isTrusted: ((address: string) => boolean) | undefined
}

const ADDRESS = Symbol('address')
type AddressedRequest = IncomingMessage & { [ADDRESS]?: string | undefined }

/** Adds the property `clientAddress` to requests. Behind a proxy it is computed once for each request. */
export function registerClientAddress(app: FastifyInstance, { header, isTrusted }: ClientAddressOptions): void {
  const addressIn = header === 'forwarded' ? addressInElement : parseNode

  function resolve({ socket, headers }: IncomingMessage, trusts: (address: string) => boolean): string | undefined {
    const peer = normalizeAddress(socket.remoteAddress)
    const value = headers[header]
    if (peer === undefined || typeof value !== 'string' || !trusts(peer)) return peer
    let address = peer
    for (let end = value.length; end >= 0; ) {
      const start = startOfElement(value, end)
      const element = value.slice(start, end).trim()
      end = start - 1
      if (element === '') continue
      const next = addressIn(element)
      // Obfuscated, unknown or malformed: the proxy that sent it is the last known address.
      if (next === undefined) return address
      address = next
      if (!trusts(address)) return address
    }
    return address
  }

  app.decorateRequest('clientAddress', {
    getter(): string | undefined {
      const raw: AddressedRequest = this.raw
      if (isTrusted === undefined) return normalizeAddress(raw.socket.remoteAddress)
      raw[ADDRESS] ??= resolve(raw, isTrusted)
      return raw[ADDRESS]
    },
  })
}

/**
 * Returns the index after the last comma before `end` that is not in a quoted string. Searches from the end, so that an
 * unpaired quotation mark of a client does not hide the elements that proxies appended.
 */
function startOfElement(value: string, end: number): number {
  let isQuoted = false
  for (let at = end - 1; at >= 0; at--) {
    const char = value[at]
    if (char === '"' && value[at - 1] !== '\\') isQuoted = !isQuoted
    else if (char === ',' && !isQuoted) return at + 1
  }
  return 0
}

// RFC 7239 section 4: pairs `token "=" ( token / quoted-string )`, separated by semicolons.
const PAIR = /^[ \t]*([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w:[\]-]+)|"((?:[^"\\]|\\.)*)")[ \t]*(?:;|$)/

/** Returns the address of the parameter `for` of a forwarded-element. Undefined if it is malformed or has none. */
function addressInElement(element: string): string | undefined {
  let node: string | undefined
  for (let rest = element; rest !== ''; ) {
    const pair = PAIR.exec(rest)
    if (pair === null) return undefined
    const [text, name = '', token, quoted] = pair
    if (name.toLowerCase() === 'for') {
      if (node !== undefined) return undefined
      node = token ?? quoted?.replace(/\\(.)/g, '$1')
    }
    rest = rest.slice(text.length)
  }
  return node === undefined ? undefined : parseNode(node)
}

// An IPv6 address in brackets, or an IPv4 address; then an optional port, which may be obfuscated.
const NODE = /^(?:\[([^\]]*)\]|([\d.]+))(?::[\w.-]+)?$/

/**
 * Parses `198.51.100.7`, `198.51.100.7:50001`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:50001` (RFC 7239 section
 * 6), also in quotation marks, which some proxies add. Returns undefined for anything else.
 */
function parseNode(text: string): string | undefined {
  const node = text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
  const [, ipv6, ipv4] = NODE.exec(node) ?? []
  return normalizeAddress(ipv4 ?? ipv6 ?? node)
}
