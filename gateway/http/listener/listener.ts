/**
 * The interface between the app and the server of one HTTP version. A listener owns the connections: their number, the
 * requests in progress on each, the response bytes that clients have not read, and how a connection is closed. The app
 * owns the requests. HTTP/1.1 is in http1-listener.ts.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Error of Node's HTTP parser, or of the socket. */
export interface ParserError extends NodeJS.ErrnoException {
  /** Set by the parser, for example to `Invalid header token`. */
  readonly reason?: string
  /** The chunk in which the parser stopped, and the number of its bytes that were parsed. */
  readonly rawPacket?: unknown
  readonly bytesParsed?: number
  /** The start of the request line of this request, if an earlier chunk ended in it. Set by the listener. */
  lineBefore?: string
}

/** A request and its response. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** An open connection. */
export interface Connection {
  readonly socket: Socket
  /** The response in progress. Undefined while no request is in progress. */
  readonly response: ServerResponse | undefined
}

/** Why the listener refused or aborted a connection. A label of `http_connections_rejected_total`. */
export type RejectionReason = 'process_limit' | 'address_limit' | 'unread_bytes' | 'write_timeout'

export interface ListenerLimits {
  /** Maximum number of open connections of the process. */
  readonly maxConnections: number
  /** Maximum number of open connections from one network (IPv4 address, IPv6 /64). */
  readonly maxConnectionsPerAddress: number
  /** Whether connections from an address are exempt from `maxConnectionsPerAddress`, such as those of a proxy. */
  readonly isExempt: (address: string) => boolean
  /** Maximum size of the response bytes that wait for clients to read, in the process. */
  readonly maxUnreadBytes: number
  /** Maximum time in milliseconds without progress of a response that the client does not read. */
  readonly writeTimeoutMs: number
}

export interface ListenerOptions {
  readonly limits: ListenerLimits
  /** Returns the bytes of the response to a request that the parser rejected. */
  readonly malformedResponse: (error: ParserError) => string
  readonly onRejected: (reason: RejectionReason) => void
}

export interface Listener {
  /** Creates the server. Call it once. */
  serve(handler: RequestListener): Server
  /** For the `clientError` event of the server. */
  handleClientError(error: ParserError, socket: Socket): void
  readonly connections: ReadonlyMap<Socket, Connection>
}
