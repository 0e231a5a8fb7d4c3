/**
 * One HTTP/2 connection to a gRPC server, client side (RFC 9113).
 *
 * Reading: socket -> FrameReader (splits bytes into frames) -> FrameParser (checks each frame on its own) -> Connection
 * (settings, flow control, stream states) -> Stream (checks and collects one response).
 * Writing: Connection and SendFlow -> FrameWriter (one write to the socket per turn of the event loop).
 *
 * States: `connecting` until the peer's SETTINGS arrive, `open`, `draining` after GOAWAY, `drain()` or the last stream id
 * (open streams finish, new calls need another connection), `closed`.
 *
 * The peer is not trusted. A violation ends the stream or the connection with the error code that the RFC names. What the
 * peer can make the process store is bounded: partial messages by `maxBufferedLength`, header blocks by
 * `maxHeaderListSize`, replies that it does not read by `MAX_UNSENT_REPLIES`, requests that it does not read by
 * `hasCapacity`.
 */
import type { Socket } from 'node:net'
import type { StatusError } from '#runtime/status.ts'
import { ConnectionLostError, type KeepaliveOptions, NotProcessedError } from '../transport.ts'
import { ConnectionError, protocolError, StreamError } from './errors.ts'
import { describeFirstBytes, type ForeignProtocolError } from './foreign-protocol.ts'
import { FrameParser } from './frame-parser.ts'
import { FrameReader } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { Keepalive } from './keepalive.ts'
import type { BufferBudget } from './messages.ts'
import type { AddressState } from './outlier-ejection.ts'
import { defaultPeerSettings, readSettings } from './peer-settings.ts'
import { ErrorCode, errorName, Flag, FrameType, MAX_STREAM_ID, Setting } from './protocol.ts'
import { ReceiveFlow } from './receive-flow.ts'
import type { EncodedHeaders } from './request-headers.ts'
import type { ResponseHeaderReader, ResponseHeaders } from './response-headers.ts'
import { SendFlow } from './send-flow.ts'
import { openSocket, type TlsSettings } from './socket.ts'
import { protocolViolation, statusOfReset } from './status-mapping.ts'
import { Stream, type StreamSink } from './stream.ts'
import { Streams } from './streams.ts'
import { type Endpoint, endpointName } from './target.ts'

export interface ConnectionOptions {
  /** Undefined for plain text (HTTP/2 with prior knowledge). */
  tls: TlsSettings | undefined
  /** Timeout for the TCP and TLS handshakes and the peer's SETTINGS together, in milliseconds. Then the connection closes. */
  connectTimeoutMs: number
  keepalive: KeepaliveOptions
  /** Maximum number of open streams. A lower SETTINGS_MAX_CONCURRENT_STREAMS of the peer takes precedence. */
  maxConcurrentStreams: number
  /** Maximum length of one response message, in bytes. A longer one fails its call with RESOURCE_EXHAUSTED. */
  maxMessageLength: number
  /** Maximum length of all messages of unfinished responses together, in bytes. The call that exceeds it is UNAVAILABLE. */
  maxBufferedLength: number
  /** SETTINGS_MAX_HEADER_LIST_SIZE that the connection sends, and maximum length of a header block, in octets. */
  maxHeaderListSize: number
  /** Decodes header blocks. One reader is shared by all connections of a channel. */
  headerReader: ResponseHeaderReader
  /** The record of the address for outlier ejection. Default: none is kept. */
  addressState?: AddressState | undefined
  /** Default 1. Tests set it to reach the last id. */
  firstStreamId?: number
}

export interface ConnectionEvents {
  /** The peer's SETTINGS arrived; `start` may be called. */
  onOpen(): void
  /** The connection may have capacity again: a stream ended, the socket drained, or the peer raised a limit. */
  onCapacity(): void
  /** The connection accepts no more calls. Open streams finish. */
  onDraining(reason: string): void
  /** Called before the calls that it interrupts fail. @param reason undefined if this side closed the connection. */
  onClose(reason: Error | undefined): void
}

type State = 'connecting' | 'open' | 'draining' | 'closed'

/** Receive windows in octets: several typical messages, so that a response rarely waits for a WINDOW_UPDATE. */
const STREAM_WINDOW = 1024 * 1024
const CONNECTION_WINDOW = 4 * 1024 * 1024
/** Maximum octets of unsent replies to SETTINGS and PING. A peer that sends these without reading is disconnected. */
const MAX_UNSENT_REPLIES = 256 * 1024
/** Length of a PING frame, the longer one of the replies. */
const REPLY_LENGTH = 17
/** Time for GOAWAY to reach the peer before the socket is destroyed, in milliseconds. */
const LINGER_MS = 1000

const PING_PAYLOAD = Buffer.from('gatehous', 'latin1')

export class Connection {
  /** Address of the peer, `10.0.0.7:50051`. */
  readonly server: string
  readonly addressState: AddressState | undefined
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #socket: Socket
  readonly #writer: FrameWriter
  readonly #reader: FrameReader
  readonly #parser: FrameParser
  readonly #sendFlow: SendFlow
  readonly #receiveFlow: ReceiveFlow
  readonly #keepalive: Keepalive
  readonly #connectTimer: NodeJS.Timeout
  readonly #streams: Streams
  readonly #settings = defaultPeerSettings()
  readonly #budget: BufferBudget
  #state: State = 'connecting'
  /** The last stream id when bytes were written to the socket. The peer has received nothing of streams above it. */
  #lastWrittenStreamId = 0
  #lastGoawayStreamId = MAX_STREAM_ID
  // RFC 9113 section 4.3.1: the first block after the peer reduced the table begins with a size update. The encoder uses
  // a table of size 0 from the start.
  #owesSizeUpdate = true
  #unsentReplies = 0

  /** Connects at once. */
  constructor(endpoint: Endpoint, options: ConnectionOptions, events: ConnectionEvents) {
    this.server = endpointName(endpoint)
    this.addressState = options.addressState
    this.#options = options
    this.#events = events
    this.#streams = new Streams(options.firstStreamId ?? 1)
    this.#budget = { remaining: options.maxBufferedLength }
    this.#writer = new FrameWriter((bytes, done) => this.#write(bytes, done))
    this.#reader = new FrameReader((type, flags, streamId, payload, start, end) =>
      this.#onFrame(type, flags, streamId, payload, start, end),
    )
    this.#parser = new FrameParser(options.headerReader, options.maxHeaderListSize, {
      onData: (streamId, payload, start, end, flowLength, endStream) =>
        this.#onData(streamId, payload, start, end, flowLength, endStream),
      onHeaders: (streamId, headers, endStream) => this.#onHeaders(streamId, headers, endStream),
      onResetStream: (streamId, http2Code) => this.#onResetStream(streamId, http2Code),
      onSettings: (payload, start, end) => this.#onSettings(payload, start, end),
      onPing: (payload, start) => this.#onPing(payload, start),
      onGoaway: (lastStreamId, http2Code, debugData) => this.#onGoaway(lastStreamId, http2Code, debugData),
      onWindowUpdate: (streamId, increment) => this.#onWindowUpdate(streamId, increment),
    })
    this.#sendFlow = new SendFlow(this.#writer)
    this.#receiveFlow = new ReceiveFlow(this.#writer, CONNECTION_WINDOW)
    this.#keepalive = new Keepalive(options.keepalive, {
      hasCalls: () => this.#hasCalls(),
      ping: () => this.#writer.ping(0, PING_PAYLOAD, 0),
      onTimeout: () => this.#close(new Error('Keepalive timeout: the peer did not acknowledge a PING')),
    })
    this.#connectTimer = setTimeout(
      () => this.#close(new Error(`Not connected within ${options.connectTimeoutMs} ms`)),
      options.connectTimeoutMs,
    )
    this.#socket = openSocket(endpoint, options.tls, {
      onConnect: () => this.#sendPreface(),
      onBytes: (bytes, length) => this.#onBytes(bytes, length),
      onClose: error => this.#close(error ?? this.#describeClose()),
    })
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whether `start` may be called: open, below the stream limit, and the peer reads what it is sent. */
  get hasCapacity(): boolean {
    return this.#state === 'open' && this.#streams.size < this.#maxStreams && !this.#sendFlow.isBacklogged
  }

  get #maxStreams(): number {
    return Math.min(this.#settings.maxConcurrentStreams, this.#options.maxConcurrentStreams)
  }

  /** SETTINGS_MAX_HEADER_LIST_SIZE of the peer, in octets. */
  get maxHeaderListSize(): number {
    return this.#settings.maxHeaderListSize
  }

  // Calls

  /**
   * Sends a request on a new stream. Only while `hasCapacity` is true.
   * @param message must not change until the stream ends.
   * @param deadline in milliseconds of `performance.now()`. Infinity for a health watch.
   */
  start(headers: EncodedHeaders, message: Uint8Array, deadline: number, sink: StreamSink): Stream {
    const id = this.#streams.allocateId()
    const { initialWindowSize, maxFrameSize } = this.#settings
    const limits = { maxMessageLength: this.#options.maxMessageLength, window: STREAM_WINDOW }
    const stream = new Stream(id, message, deadline, initialWindowSize, sink, limits, this.#budget)
    this.#streams.add(stream)
    this.#writer.headers(id, headers.bytes, this.#owesSizeUpdate ? 0 : 1, headers.length, maxFrameSize)
    this.#owesSizeUpdate = false
    this.#sendFlow.send(stream)
    if (this.#streams.idsExhausted) this.#startDraining('The stream ids are exhausted')
    return stream
  }

  /** Resets the stream with CANCEL. Its sink is not called again. */
  cancel(stream: Stream): void {
    if (!this.#streams.isOpen(stream)) return
    this.#remove(stream, ErrorCode.CANCEL)
    this.#afterStreamEnd()
  }

  /** Stops accepting calls and closes once the open streams have ended. */
  drain(): void {
    if (this.#state === 'connecting') this.#close(undefined)
    else if (this.#state !== 'closed') {
      this.#state = 'draining'
      this.#closeIfIdle()
    }
  }

  /** Health watches, which have no deadline, do not count: servers treat keepalive pings without calls as abuse. */
  #hasCalls(): boolean {
    return this.#streams.list().some(({ deadline }) => deadline !== Infinity)
  }

  // Socket

  #sendPreface(): void {
    this.#writer.preface()
    this.#writer.settings([
      [Setting.HEADER_TABLE_SIZE, 0],
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW],
      [Setting.MAX_HEADER_LIST_SIZE, this.#options.maxHeaderListSize],
    ])
    this.#receiveFlow.replenish()
  }

  #write(bytes: Buffer, done: () => void): void {
    this.#lastWrittenStreamId = this.#streams.lastId
    this.#socket.write(bytes, () => {
      const wasBacklogged = this.#sendFlow.isBacklogged
      done()
      this.#unsentReplies = 0
      this.#sendFlow.resume()
      if (wasBacklogged && this.hasCapacity) this.#events.onCapacity()
    })
  }

  #onBytes(bytes: Buffer, length: number): void {
    if (this.#state === 'closed') return
    this.#keepalive.onReceived()
    try {
      this.#reader.read(bytes, length)
    } catch (error) {
      if (error instanceof ConnectionError)
        this.#close(this.#state === 'connecting' ? this.#describeStart(bytes, error) : error)
      // A defect of this client. It is logged with its cause and ends this connection, not the process.
      else this.#close(new ConnectionError(ErrorCode.INTERNAL_ERROR, 'Internal error', { cause: error }))
    }
  }

  #describeStart(bytes: Buffer, error: ConnectionError): ForeignProtocolError {
    const { partial } = this.#reader
    return describeFirstBytes(partial.length > 0 ? partial : bytes, error)
  }

  #describeClose(): Error {
    const reason = 'The peer closed the connection'
    if (this.#state !== 'connecting') return new Error(reason)
    if (this.#reader.partial.length > 0) return describeFirstBytes(this.#reader.partial)
    return new Error(`${reason} before it sent SETTINGS${this.#options.tls ? '' : '. If it expects TLS, add `tls`'}`)
  }

  // Frames

  #onFrame(type: number, flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return
    if (this.#state === 'connecting' && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw protocolError('The first frame is not SETTINGS')
    }
    this.#parser.parse(type, flags, streamId, payload, start, end)
  }

  #onData(streamId: number, payload: Buffer, start: number, end: number, flowLength: number, endStream: boolean): void {
    this.#receiveFlow.consume(flowLength)
    const stream = this.#streams.findForResponse(streamId)
    if (stream === undefined) return
    try {
      const ended = stream.receiveData(payload, start, end, flowLength, endStream)
      const increment = ended ? 0 : stream.replenish()
      if (ended) this.#end(stream, stream.status)
      else if (increment > 0) this.#writer.windowUpdate(streamId, increment)
    } catch (error) {
      this.#resetStream(stream, error)
    }
  }

  #onHeaders(streamId: number, headers: ResponseHeaders, endStream: boolean): void {
    const stream = this.#streams.findForResponse(streamId)
    if (stream === undefined) return
    try {
      if (stream.receiveHeaders(headers, endStream)) this.#end(stream, stream.status)
    } catch (error) {
      this.#resetStream(stream, error)
    }
  }

  #onResetStream(streamId: number, http2Code: number): void {
    const stream = this.#streams.find(streamId)
    if (stream === undefined) return
    this.#remove(stream, undefined)
    stream.sink.onEnd(statusOfReset(http2Code, stream.deadline))
    this.#afterStreamEnd()
  }

  #onSettings(payload: Buffer, start: number, end: number): void {
    const { headerTableSize, initialWindowSize } = this.#settings
    readSettings(this.#settings, payload, start, end)
    if (this.#settings.headerTableSize < headerTableSize) this.#owesSizeUpdate = true
    this.#adjustSendWindows(this.#settings.initialWindowSize - initialWindowSize)
    this.#countReply()
    this.#writer.settingsAck()
    if (this.#state === 'connecting') this.#open()
    else this.#events.onCapacity()
  }

  /** RFC 9113 section 6.9.2: a change of the initial window size applies to open streams and may make windows negative. */
  #adjustSendWindows(difference: number): void {
    if (difference === 0) return
    for (const stream of this.#streams.list()) {
      try {
        this.#sendFlow.increaseStreamWindow(stream, difference)
      } catch (error) {
        if (!(error instanceof StreamError)) throw error
        throw new ConnectionError(
          ErrorCode.FLOW_CONTROL_ERROR,
          'SETTINGS_INITIAL_WINDOW_SIZE overflows a stream window',
        )
      }
    }
  }

  #open(): void {
    clearTimeout(this.#connectTimer)
    this.#state = 'open'
    this.#keepalive.start()
    this.#events.onOpen()
  }

  #onPing(payload: Buffer, start: number): void {
    this.#countReply()
    this.#writer.ping(Flag.ACK, payload, start)
  }

  #countReply(): void {
    this.#unsentReplies += REPLY_LENGTH
    if (this.#unsentReplies > MAX_UNSENT_REPLIES) {
      throw new ConnectionError(
        ErrorCode.ENHANCE_YOUR_CALM,
        'The peer sends PING or SETTINGS without reading the replies',
      )
    }
  }

  #onGoaway(lastStreamId: number, http2Code: number, debugData: string): void {
    if (lastStreamId > this.#lastGoawayStreamId) throw protocolError('GOAWAY raises the last stream id')
    this.#lastGoawayStreamId = lastStreamId
    this.#startDraining(`The peer sent GOAWAY ${errorName(http2Code)} ${debugData}`.trimEnd())
    // RFC 9113 section 6.8: the peer did not process streams above the last id; their calls can be retried.
    for (const stream of this.#streams.list()) {
      if (stream.id <= lastStreamId || !this.#streams.isOpen(stream)) continue
      this.#remove(stream, undefined)
      stream.sink.onEnd(new NotProcessedError('The upstream closed the connection before processing the call'))
    }
    this.#closeIfIdle()
  }

  #onWindowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (increment === 0) throw protocolError('WINDOW_UPDATE of 0')
      this.#sendFlow.increaseWindow(increment)
      return
    }
    const stream = this.#streams.find(streamId)
    if (stream === undefined) return
    try {
      if (increment === 0) {
        throw new StreamError(ErrorCode.PROTOCOL_ERROR, protocolViolation('WINDOW_UPDATE of 0'))
      }
      this.#sendFlow.increaseStreamWindow(stream, increment)
    } catch (error) {
      this.#resetStream(stream, error)
    }
  }

  // End of streams

  #resetStream(stream: Stream, error: unknown): void {
    if (!(error instanceof StreamError)) throw error
    this.#remove(stream, error.http2Code)
    stream.sink.onEnd(error.status)
    this.#afterStreamEnd()
  }

  #end(stream: Stream, status: StatusError | undefined): void {
    // The response may end before the request is sent completely. CANCEL stops the rest.
    this.#remove(stream, stream.isSent ? undefined : ErrorCode.CANCEL)
    stream.sink.onEnd(status)
    this.#afterStreamEnd()
  }

  /** @param resetCode the code of RST_STREAM; undefined sends none. */
  #remove(stream: Stream, resetCode: number | undefined): void {
    this.#streams.delete(stream, resetCode !== undefined)
    this.#sendFlow.remove(stream)
    stream.release()
    if (resetCode !== undefined) this.#writer.resetStream(stream.id, resetCode)
  }

  #afterStreamEnd(): void {
    if (this.#state === 'open') this.#events.onCapacity()
    else this.#closeIfIdle()
  }

  // End of the connection

  #startDraining(reason: string): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#events.onDraining(reason)
  }

  #closeIfIdle(): void {
    if (this.#state === 'draining' && this.#streams.size === 0) this.#close(undefined)
  }

  #close(reason: Error | undefined): void {
    if (this.#state === 'closed') return
    const wasOpen = this.#state !== 'connecting'
    this.#state = 'closed'
    clearTimeout(this.#connectTimer)
    this.#keepalive.stop()
    this.#events.onClose(reason)
    const lastWritten = this.#lastWrittenStreamId
    const streams = this.#streams.list()
    // Requests that were not written are discarded, because their calls are retried on another connection.
    this.#writer.discard()
    if (wasOpen || reason instanceof ConnectionError) {
      const code = reason instanceof ConnectionError ? reason.http2Code : ErrorCode.NO_ERROR
      this.#writer.goaway(code, reason instanceof ConnectionError ? reason.message : '')
      this.#writer.flush()
      this.#socket.end()
      setTimeout(() => this.#socket.destroy(), LINGER_MS).unref()
    } else {
      this.#socket.destroy()
    }
    for (const stream of streams) {
      this.#remove(stream, undefined)
      stream.sink.onEnd(
        stream.id > lastWritten
          ? new NotProcessedError('The connection to the upstream was lost')
          : new ConnectionLostError(reason),
      )
    }
  }
}
