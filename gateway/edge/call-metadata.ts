import type { FastifyRequest } from 'fastify'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT } from '#runtime/principal.ts'
import { traceHeaders } from '#runtime/telemetry.ts'
import type { CallMetadata } from '../upstream/transport.ts'

/**
 * What goes on to the upstream besides the message. It is made here from nothing, so that no header of a client passes
 * by itself, whatever its spelling: identity is the caller's own token, and only when it was verified.
 */
export function callMetadata(request: FastifyRequest): CallMetadata {
  const metadata: Record<string, string> = {
    ...traceHeaders(request.trace.spanContext),
    [CLIENT_ADDRESS]: request.ip,
    [CLIENT_USER_AGENT]: asciiOf(request.headers['user-agent'] ?? ''),
  }
  if (request.principal !== undefined) metadata['authorization'] = request.headers.authorization ?? ''
  return metadata
}

/** Metadata values are printable ASCII (gRPC over HTTP/2, "Custom-Metadata"). */
function asciiOf(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 256)
}
