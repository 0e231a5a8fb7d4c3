/** Which metadata may be sent: gRPC over HTTP/2 "Custom-Metadata", RFC 9113 sections 8.2 and 8.3. */

const KEY = /^[0-9a-z_.-]+$/

// Set by the transport, or forbidden in HTTP/2.
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

/** Whether `key` is a valid metadata key: lower case, and not reserved. */
export function isMetadataKey(key: string): boolean {
  return KEY.test(key) && !RESERVED.has(key)
}

// Printable ASCII. RFC 9113 section 8.2.1 forbids surrounding spaces.
const VALUE = /^(?! )[\x20-\x7e]*(?<! )$/
// Padding is optional.
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** Whether `value` is valid for `key`: printable ASCII, or base64 if the key ends in `-bin`. */
export function isMetadataValue(key: string, value: string): boolean {
  return key.endsWith('-bin') ? BASE64.test(value) : VALUE.test(value)
}
