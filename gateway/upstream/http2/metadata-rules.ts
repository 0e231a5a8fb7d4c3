/** What metadata may go on the wire: gRPC over HTTP/2 "Custom-Metadata", RFC 9113 sections 8.2 and 8.3. */

const KEY = /^[0-9a-z_.-]+$/

// What the transport itself says, and what HTTP/2 forbids.
const RESERVED = new Set([
  'connection',
  'content-length',
  'content-type',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-message',
  'grpc-status',
  'grpc-timeout',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'user-agent',
])

export function isMetadataKey(key: string): boolean {
  return KEY.test(key) && !RESERVED.has(key)
}

// Printable ASCII; HTTP/2 forbids a space at either end.
const VALUE = /^(?! )[\x20-\x7e]*(?<! )$/
// Padding may be left out.
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** @param value as it stands on the wire: base64 for a key that ends in `-bin`. */
export function isMetadataValue(key: string, value: string): boolean {
  return key.endsWith('-bin') ? BASE64.test(value) : VALUE.test(value)
}
