/**
 * The listener for HTTP/1.1.
 *
 * A connection has one request in progress. A pipelined request waits until the response before it is closed, and the
 * parser stops after its head, so a connection costs at most 64 KiB of unparsed bytes however many requests it sends. RFC
 * 9112 section 9.3.2 allows that, and requires it after an unsafe method. Connections with such requests take turns
 * (turns.ts). A request that is not pipelined costs one map lookup.
 */
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { capConnections } from './connection-caps.ts'
import { closeLingering } from './lingering-close.ts'
import type { Connection, Exchange, Listener, ListenerOptions, ParserError } from './listener.ts'
import {
  controlParser,
  detachParser,
  type HeldInput,
  holdInput,
  isParserPause,
  isReadingStopped,
  type ParserControl,
} from './parser-control.ts'
import { unfinishedLine } from './request-line.ts'
import { createTurns } from './turns.ts'
import { watchUnreadResponses } from './unread-responses.ts'

/** Maximum time in milliseconds to receive a complete request. The detail of `request_timeout` (408) names it. */
const REQUEST_TIMEOUT_MS = 30_000
/** Interval in milliseconds between two checks of that time. The default of Node, 30 s, would double it. */
const REQUEST_TIMEOUT_CHECK_MS = 1000
/** Time in milliseconds after which a connection without a request is closed. Longer than 60 s, as of load balancers. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000
/** Maximum size of the rest of a body that is discarded after an early response, to use the connection again. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024

interface Http1Connection extends Connection, ParserControl {
  response: ServerResponse | undefined
  /** The request whose response is closed, if its body is still arriving, and `socket.bytesRead` at that time. */
  answered: { readonly request: IncomingMessage; readonly bytesRead: number } | undefined
  /** The pipelined request that waits for `response`, and what arrived after its head. */
  waiting: Exchange | undefined
  held: HeldInput | undefined
  /** Whether the request timeout of Node expired while its request waited. Node does not measure it again. */
  isTimeoutUsed: boolean
  /** The parser error that is reported when `response` is closed. */
  error: ParserError | undefined
  /** Whether everything that arrives is discarded. */
  isClosing: boolean
  /** The start of the request line in which the latest chunk ended. */
  line: string
}

const ignore = () => {}

export function createHttp1Listener({ limits, malformedResponse, onRejected }: ListenerOptions): Listener {
  const connections = new Map<Socket, Http1Connection>()
  const queueTurn = createTurns(startWaiting)
  let handle: RequestListener

  function accept(socket: Socket): void {
    if (socket.destroyed) return
    const connection: Http1Connection = {
      socket,
      response: undefined,
      answered: undefined,
      waiting: undefined,
      held: undefined,
      isTimeoutUsed: false,
      error: undefined,
      isClosing: false,
      line: '',
      isPauseDue: () => connection.waiting !== undefined,
      onPartialInput(chunk) {
        if (!isReceivingBody(connection)) connection.line = unfinishedLine(connection.line, chunk())
      },
    }
    connections.set(socket, connection)
    socket.once('close', () => connections.delete(socket))
    // node:http calls it after a response with `Connection: close`.
    socket.destroySoon = destroySoon
    controlParser(socket, connection)
  }

  function receive(request: IncomingMessage, response: ServerResponse): void {
    const connection = connections.get(request.socket)
    if (connection === undefined) {
      handle(request, response)
      return
    }
    connection.line = ''
    if (connection.response === undefined) start(connection, request, response)
    else connection.waiting = { request, response }
  }

  function start(connection: Http1Connection, request: IncomingMessage, response: ServerResponse): void {
    connection.response = response
    connection.answered = undefined
    response.on('close', finish)
    handle(request, response)
  }

  function finish(this: ServerResponse): void {
    const { req: request } = this
    const connection = connections.get(request.socket)
    if (connection?.response !== this) return
    connection.response = undefined
    if (!request.complete) connection.answered = { request, bytesRead: connection.socket.bytesRead }
    if (connection.error !== undefined) refuse(connection, connection.error)
    else if (connection.waiting !== undefined) queueTurn(connection)
  }

  function startWaiting(connection: Http1Connection): void {
    const { socket, waiting, held } = connection
    if (waiting === undefined || socket.destroyed || connection.isClosing) return
    if (isReadingStopped(socket)) {
      if (socket.writableNeedDrain) socket.once('drain', () => queueTurn(connection))
      else queueTurn(connection)
      return
    }
    connection.waiting = undefined
    connection.held = undefined
    if (connection.isTimeoutUsed) measureTimeout(connection, waiting.request)
    start(connection, waiting.request, waiting.response)
    held?.release()
    if (connection.held === undefined && connection.error === undefined && !connection.isClosing) socket.resume()
  }

  function measureTimeout(connection: Http1Connection, request: IncomingMessage): void {
    connection.isTimeoutUsed = false
    const timer = setTimeout(() => {
      const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
      if (!request.complete) handleClientError(error, connection.socket)
    }, REQUEST_TIMEOUT_MS)
    request.once('close', () => clearTimeout(timer))
  }

  function handleClientError(error: ParserError, socket: Socket): void {
    const connection = connections.get(socket)
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) {
      // During a lingering close, the socket is not writable and closes itself.
      if (connection?.isClosing !== true) socket.destroy()
      return
    }
    if (connection.isClosing) return
    error.lineBefore = connection.line
    if (connection.waiting !== undefined) {
      if (isParserPause(error)) connection.held = holdInput(socket, error, connection)
      else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') connection.isTimeoutUsed = true
      else socket.destroy()
      return
    }
    const { response } = connection
    // An error in the body of the request in progress is the response to it, unless that has begun.
    if (response === undefined || (!response.req.complete && !response.headersSent)) refuse(connection, error)
    else if (connection.error === undefined) {
      connection.error = error
      // The parser would report the error again.
      detachParser(socket, ignore)
      socket.pause()
    }
  }

  /** Sends the response to a malformed request and closes the connection. A request with a response gets no other. */
  function refuse(connection: Http1Connection, error: ParserError): void {
    const { socket } = connection
    if (!socket.writable) return
    connection.isClosing = true
    if (connection.answered?.request.complete !== false) socket.write(malformedResponse(error))
    closeLingering(socket)
  }

  function destroySoon(this: Socket): void {
    const connection = connections.get(this)
    const isSending = connection?.response?.req.complete === false || connection?.waiting !== undefined
    if (connection === undefined || !isSending) {
      Socket.prototype.destroySoon.call(this)
      return
    }
    connection.isClosing = true
    closeLingering(this)
  }

  function* socketsWithinLimits(): Iterable<Socket> {
    for (const { socket, answered } of connections.values()) {
      if (answered !== undefined && socket.bytesRead - answered.bytesRead > MAX_DISCARDED_BYTES) {
        if (!answered.request.complete) socket.destroy()
      } else yield socket
    }
  }

  return {
    connections,
    handleClientError,
    serve(handler) {
      handle = handler
      const server = http.createServer({
        requestTimeout: REQUEST_TIMEOUT_MS,
        headersTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: REQUEST_TIMEOUT_CHECK_MS,
        keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
        // The app rejects a request without Host with a problem document (message-checks.ts).
        requireHostHeader: false,
      })
      capConnections(server, limits, onRejected)
      server.on('connection', accept)
      server.on('request', receive)
      server.once('listening', () => {
        const unread = watchUnreadResponses({
          limits,
          sockets: socketsWithinLimits,
          heldBytes: socket => connections.get(socket)?.held?.length ?? 0,
          onRejected,
        })
        server.once('close', unread.stop)
      })
      return server
    },
  }
}

function isReceivingBody({ response, answered, waiting }: Http1Connection): boolean {
  return waiting !== undefined || response?.req.complete === false || answered?.request.complete === false
}
