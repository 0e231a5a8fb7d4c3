import type { FastifyRequest } from 'fastify'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT } from '#runtime/auth/principal.ts'
import { clientAddress } from '../http/client-address.ts'
import type { CallMetadata } from './transport.ts'

/**
 * What goes on to the upstream besides the message. It is made here from nothing, so that no header of a client passes
 * by itself, whatever its spelling: identity is the caller's own token, and only when it was verified.
 * @param traceparent of the span that makes the call.
 */
export function callMetadata(request: FastifyRequest, traceparent: string): CallMetadata {
  const metadata: Record<string, string> = {
    traceparent,
    [CLIENT_USER_AGENT]: asciiOf(request.headers['user-agent'] ?? ''),
  }
  const address = clientAddress(request)
  if (address !== undefined) metadata[CLIENT_ADDRESS] = address
  const { traceState } = request.trace.spanContext
  if (traceState !== undefined) metadata['tracestate'] = traceState.serialize()
  if (request.principal !== undefined) metadata['authorization'] = request.headers.authorization ?? ''
  return metadata
}

/** Metadata values are printable ASCII (gRPC over HTTP/2, "Custom-Metadata"), without a space at their end. */
function asciiOf(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 256)
    .trim()
}
