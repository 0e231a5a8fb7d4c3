/**
 * One HTTP/2 connection as a client that speaks gRPC, RFC 9113. The peer is not trusted: what it does wrong ends the
 * stream or the connection with the error that the RFC names, and all that it can make us keep is bounded.
 */
import type { Socket } from 'node:net'
import { type StatusError, unavailable } from '#runtime/status.ts'
import { type KeepaliveOptions, NotProcessedError } from '../transport.ts'
import { ConnectionError, StreamError } from './errors.ts'
import { expectLength, violation, withoutPadding } from './frame-checks.ts'
import { FrameReader } from './frame-reader.ts'
import { HeaderBlocks } from './header-blocks.ts'
import { Keepalive } from './keepalive.ts'
import type { BufferBudget } from './message-assembler.ts'
import { Outbox } from './outbox.ts'
import { defaultPeerSettings, readSettings } from './peer-settings.ts'
import { ErrorCode, errorName, Flag, FrameType, MAX_STREAM_ID, Setting } from './protocol.ts'
import { ReceiveFlow } from './receive-flow.ts'
import type { EncodedHead } from './request-head.ts'
import { endpointName } from './resolver.ts'
import type { ResponseHead, ResponseHeadReader } from './response-head.ts'
import { SendFlow } from './send-flow.ts'
import { type Endpoint, openSocket, type TlsSettings } from './socket.ts'
import { protocolViolation, statusOfReset } from './status-mapping.ts'
import { Stream, type StreamSink } from './stream.ts'
import { Streams } from './streams.ts'

export interface ConnectionOptions {
  tls: TlsSettings | undefined
  /** Milliseconds for TCP, TLS and the peer's SETTINGS together. */
  connectTimeoutMs: number
  keepalive: KeepaliveOptions
  /** Streams at a time, where the peer allows more. */
  maxConcurrentStreams: number
  /** Bytes of one answer. */
  maxMessageLength: number
  /** Bytes of all answers that have arrived in part. */
  maxBufferedLength: number
  /** Octets of one header list, which `heads` keeps to. */
  maxHeaderListSize: number
  /** Shared by the connections of a channel. */
  heads: ResponseHeadReader
  /** 1, but where a test begins near the end of the ids. */
  firstStreamId?: number
}

export interface ConnectionEvents {
  /** The peer has sent its settings: calls may begin. */
  onOpen(): void
  /** A stream has ended, or the peer allows more. */
  onRoom(): void
  /** No new calls from now on; those under way go on. */
  onDraining(reason: string): void
  /** Comes before the ends of the calls that it cuts off. @param reason undefined if it was asked for. */
  onClose(reason: Error | undefined): void
}

type State = 'connecting' | 'open' | 'draining' | 'closed'

/** Of the peer's receive window for one answer, and for all: some messages' worth, so that none waits for the other. */
const STREAM_WINDOW = 1024 * 1024
const CONNECTION_WINDOW = 4 * 1024 * 1024
/** Answers to the peer's own frames that it may leave unread. */
const MAX_UNREAD_REPLIES = 256 * 1024
/** Milliseconds for the last bytes of a connection that is being closed. */
const LINGER_MS = 1000

const PING_PAYLOAD = Buffer.from('gatehous', 'latin1')

export class Connection {
  /** The peer's address, for who observes. */
  readonly server: string
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #reader: FrameReader
  readonly #sendFlow: SendFlow
  readonly #receiveFlow: ReceiveFlow
  readonly #keepalive: Keepalive
  readonly #connectTimer: NodeJS.Timeout
  readonly #streams: Streams
  readonly #headerBlocks: HeaderBlocks
  readonly #settings = defaultPeerSettings()
  readonly #budget: BufferBudget
  #state: State = 'connecting'
  /** The last stream of which the socket has had bytes. */
  #lastWrittenStreamId = 0
  #lastGoawayStreamId = MAX_STREAM_ID
  // RFC 9113 section 4.3.1: after a table was reduced, the next block says so first. Ours is 0 from the start.
  #owesSizeUpdate = true
  #replies = 0

  constructor(endpoint: Endpoint, options: ConnectionOptions, events: ConnectionEvents) {
    this.server = endpointName(endpoint)
    this.#options = options
    this.#events = events
    this.#streams = new Streams(options.firstStreamId ?? 1)
    this.#headerBlocks = new HeaderBlocks(options.heads, options.maxHeaderListSize, (streamId, head, endStream) =>
      this.#onHead(streamId, head, endStream),
    )
    this.#budget = { left: options.maxBufferedLength }
    this.#outbox = new Outbox((bytes, done) => this.#write(bytes, done))
    this.#reader = new FrameReader((type, flags, streamId, payload, start, end) =>
      this.#onFrame(type, flags, streamId, payload, start, end),
    )
    this.#sendFlow = new SendFlow(this.#outbox)
    this.#receiveFlow = new ReceiveFlow(this.#outbox, CONNECTION_WINDOW)
    this.#keepalive = new Keepalive(options.keepalive, {
      hasCalls: () => this.#hasCalls(),
      ping: () => this.#outbox.ping(0, PING_PAYLOAD, 0),
      onDead: () => this.#close(new Error('The peer does not answer a ping')),
    })
    this.#connectTimer = setTimeout(
      () => this.#close(new Error('The peer took too long to connect')),
      options.connectTimeoutMs,
    )
    this.#socket = openSocket(endpoint, options.tls, {
      onConnect: () => this.#greet(),
      onBytes: (bytes, length) => this.#onBytes(bytes, length),
      onClose: error => this.#close(error ?? new Error('The peer closed the connection')),
    })
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get hasRoom(): boolean {
    return this.#state === 'open' && this.#streams.size < this.#maxStreams && !this.#sendFlow.isClogged
  }

  get #maxStreams(): number {
    return Math.min(this.#settings.maxConcurrentStreams, this.#options.maxConcurrentStreams)
  }

  /** What a request's headers may have, as the peer counts them. */
  get maxHeaderListSize(): number {
    return this.#settings.maxHeaderListSize
  }

  /**
   * Begins a call; `hasRoom` must say that there is room.
   * @param message must not change until the call has ended.
   */
  start(head: EncodedHead, message: Uint8Array, deadline: number, sink: StreamSink): Stream {
    const id = this.#streams.takeId()
    const { initialWindowSize, maxFrameSize } = this.#settings
    const limits = { maxMessageLength: this.#options.maxMessageLength, window: STREAM_WINDOW }
    const stream = new Stream(id, message, deadline, initialWindowSize, sink, limits, this.#budget)
    this.#streams.add(stream)
    this.#outbox.headers(id, head.bytes, this.#owesSizeUpdate ? 0 : 1, head.length, maxFrameSize)
    this.#owesSizeUpdate = false
    this.#sendFlow.begin(stream)
    if (this.#streams.areUsedUp) this.#drain('Its stream ids are used up')
    return stream
  }

  /** Ends a call that nobody waits for; its sink hears nothing more. */
  cancel(stream: Stream): void {
    if (!this.#streams.has(stream)) return
    this.#remove(stream, ErrorCode.CANCEL)
    this.#afterStream()
  }

  /** Takes no new calls, and closes once those under way have ended. */
  drain(): void {
    if (this.#state === 'connecting') this.#close(undefined)
    else if (this.#state !== 'closed') {
      this.#state = 'draining'
      this.#closeWhenIdle()
    }
  }

  /** Closes at once; calls under way end as UNAVAILABLE. */
  destroy(): void {
    this.#close(undefined)
    this.#socket.destroy()
  }

  /** A watch, which has no deadline, is none: a server may take pings for a stream that is always there for abuse. */
  #hasCalls(): boolean {
    return this.#streams.list().some(({ deadline }) => deadline !== Infinity)
  }

  #greet(): void {
    this.#outbox.preface()
    this.#outbox.settings([
      [Setting.HEADER_TABLE_SIZE, 0],
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW],
      [Setting.MAX_HEADER_LIST_SIZE, this.#options.maxHeaderListSize],
    ])
    this.#receiveFlow.open()
  }

  #write(bytes: Buffer, done: () => void): void {
    this.#lastWrittenStreamId = this.#streams.lastId
    this.#socket.write(bytes, () => {
      const wasClogged = this.#sendFlow.isClogged
      done()
      this.#replies = 0
      this.#sendFlow.resume()
      if (wasClogged && this.hasRoom) this.#events.onRoom()
    })
  }

  #onBytes(bytes: Buffer, length: number): void {
    if (this.#state === 'closed') return
    this.#keepalive.heard()
    try {
      this.#reader.read(bytes, length)
    } catch (error) {
      if (error instanceof ConnectionError) this.#close(error)
      // A mistake of ours, told in the log; what else the process does goes on.
      else this.#close(new ConnectionError(ErrorCode.INTERNAL_ERROR, 'It could not be read', { cause: error }))
    }
  }

  #onFrame(type: number, flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return
    if (this.#state === 'connecting' && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw violation('The peer does not begin with its settings: it may not speak HTTP/2')
    }
    this.#headerBlocks.checkOrder(type, streamId)
    switch (type) {
      case FrameType.DATA:
        this.#onData(flags, streamId, payload, start, end)
        break
      case FrameType.HEADERS:
        this.#headerBlocks.headers(flags, streamId, payload, start, end)
        break
      case FrameType.CONTINUATION:
        this.#headerBlocks.continuation(flags, payload, start, end)
        break
      case FrameType.RST_STREAM:
        this.#onResetStream(streamId, payload, start, end)
        break
      case FrameType.SETTINGS:
        this.#onSettings(flags, streamId, payload, start, end)
        break
      case FrameType.PING:
        this.#onPing(flags, streamId, payload, start, end)
        break
      case FrameType.GOAWAY:
        this.#onGoaway(streamId, payload, start, end)
        break
      case FrameType.WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, payload, start, end)
        break
      case FrameType.PRIORITY:
        expectLength(5, start, end)
        if (streamId === 0) throw violation('A PRIORITY frame names no stream')
        break
      case FrameType.PUSH_PROMISE:
        throw violation('The peer pushes, which it was told not to')
    }
    // A type that we do not know means nothing, RFC 9113 section 5.5.
  }

  #onData(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    const frameLength = end - start
    if (streamId === 0) throw violation('A DATA frame names no stream')
    const [from, to] = (flags & Flag.PADDED) === 0 ? [start, end] : withoutPadding(payload, start, end)
    this.#receiveFlow.take(frameLength)
    const stream = this.#streams.answered(streamId)
    if (stream === undefined) return
    try {
      const ended = stream.receiveData(payload, from, to, frameLength, (flags & Flag.END_STREAM) !== 0)
      const increment = ended ? 0 : stream.replenish()
      if (ended) this.#end(stream, stream.status)
      else if (increment > 0) this.#outbox.windowUpdate(streamId, increment)
    } catch (error) {
      this.#abort(stream, error)
    }
  }

  #onHead(streamId: number, head: ResponseHead, endStream: boolean): void {
    const stream = this.#streams.answered(streamId)
    if (stream === undefined) return
    try {
      if (stream.receiveHead(head, endStream)) this.#end(stream, stream.status)
    } catch (error) {
      this.#abort(stream, error)
    }
  }

  #onResetStream(streamId: number, payload: Buffer, start: number, end: number): void {
    expectLength(4, start, end)
    const stream = this.#streams.known(streamId)
    if (stream === undefined) return
    this.#remove(stream, undefined)
    stream.sink.onEnd(statusOfReset(payload.readUInt32BE(start), stream.deadline))
    this.#afterStream()
  }

  #onSettings(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw violation('A SETTINGS frame names a stream')
    if ((flags & Flag.ACK) !== 0) {
      expectLength(0, start, end)
      this.#headerBlocks.settingsAcked()
      return
    }
    if ((end - start) % 6 !== 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'A SETTINGS frame is cut short')
    const { headerTableSize, initialWindowSize } = this.#settings
    readSettings(this.#settings, payload, start, end)
    if (this.#settings.headerTableSize < headerTableSize) this.#owesSizeUpdate = true
    this.#moveWindows(this.#settings.initialWindowSize - initialWindowSize)
    this.#countReply()
    this.#outbox.settingsAck()
    if (this.#state === 'connecting') this.#open()
    else this.#events.onRoom()
  }

  /** RFC 9113 section 6.9.2: windows of streams under way move along, below zero if need be. */
  #moveWindows(difference: number): void {
    if (difference === 0) return
    for (const stream of this.#streams.list()) {
      try {
        this.#sendFlow.growStream(stream, difference)
      } catch (error) {
        if (!(error instanceof StreamError)) throw error
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'A stream window is too large')
      }
    }
  }

  #open(): void {
    clearTimeout(this.#connectTimer)
    this.#state = 'open'
    this.#keepalive.start()
    this.#events.onOpen()
  }

  #onPing(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    expectLength(8, start, end)
    if (streamId !== 0) throw violation('A PING frame names a stream')
    if ((flags & Flag.ACK) !== 0) return
    this.#countReply()
    this.#outbox.ping(Flag.ACK, payload, start)
  }

  /** A peer that asks and never reads the answers would fill the memory. */
  #countReply(): void {
    this.#replies += 17
    if (this.#replies > MAX_UNREAD_REPLIES) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'The peer asks more than it listens')
    }
  }

  #onGoaway(streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw violation('A GOAWAY frame names a stream')
    if (end - start < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'A GOAWAY frame is too short')
    const lastStreamId = payload.readUInt32BE(start) & MAX_STREAM_ID
    if (lastStreamId > this.#lastGoawayStreamId) throw violation('A GOAWAY frame takes streams back')
    this.#lastGoawayStreamId = lastStreamId
    const text = payload.toString('latin1', start + 8, Math.min(end, start + 8 + 128))
    this.#drain(`The peer goes away with ${errorName(payload.readUInt32BE(start + 4))} ${text}`.trimEnd())
    // Those above were not looked at, section 6.8: they may be made again, whatever they do.
    for (const stream of this.#streams.list()) {
      if (stream.id <= lastStreamId || !this.#streams.has(stream)) continue
      this.#remove(stream, undefined)
      stream.sink.onEnd(new NotProcessedError('The upstream goes away'))
    }
    this.#closeWhenIdle()
  }

  #onWindowUpdate(streamId: number, payload: Buffer, start: number, end: number): void {
    expectLength(4, start, end)
    const increment = payload.readUInt32BE(start) & 0x7fff_ffff
    if (streamId === 0) {
      if (increment === 0) throw violation('A window grows by nothing')
      this.#sendFlow.grow(increment)
      return
    }
    const stream = this.#streams.known(streamId)
    if (stream === undefined) return
    try {
      if (increment === 0) {
        throw new StreamError(ErrorCode.PROTOCOL_ERROR, protocolViolation('a window grows by nothing'))
      }
      this.#sendFlow.growStream(stream, increment)
    } catch (error) {
      this.#abort(stream, error)
    }
  }

  #abort(stream: Stream, error: unknown): void {
    if (!(error instanceof StreamError)) throw error
    this.#remove(stream, error.http2Code)
    stream.sink.onEnd(error.status)
    this.#afterStream()
  }

  #end(stream: Stream, status: StatusError | undefined): void {
    // An answer that came before the whole request: the rest is not wanted.
    this.#remove(stream, stream.isSent ? undefined : ErrorCode.CANCEL)
    stream.sink.onEnd(status)
    this.#afterStream()
  }

  #remove(stream: Stream, resetCode: number | undefined): void {
    this.#streams.delete(stream, resetCode !== undefined)
    this.#sendFlow.forget(stream)
    stream.release()
    if (resetCode !== undefined) this.#outbox.resetStream(stream.id, resetCode)
  }

  #afterStream(): void {
    if (this.#state === 'open') this.#events.onRoom()
    else this.#closeWhenIdle()
  }

  #drain(reason: string): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#events.onDraining(reason)
  }

  #closeWhenIdle(): void {
    if (this.#state === 'draining' && this.#streams.size === 0) this.#close(undefined)
  }

  #close(reason: Error | undefined): void {
    if (this.#state === 'closed') return
    const greeted = this.#state !== 'connecting'
    this.#state = 'closed'
    clearTimeout(this.#connectTimer)
    this.#keepalive.stop()
    this.#events.onClose(reason)
    const lastWritten = this.#lastWrittenStreamId
    const streams = this.#streams.list()
    // What was not written yet must not be: its calls may be made again elsewhere.
    this.#outbox.discard()
    if (greeted || reason instanceof ConnectionError) {
      const code = reason instanceof ConnectionError ? reason.http2Code : ErrorCode.NO_ERROR
      this.#outbox.goaway(code, reason instanceof ConnectionError ? reason.message : '')
      this.#outbox.flush()
      this.#socket.end()
      setTimeout(() => this.#socket.destroy(), LINGER_MS).unref()
    } else {
      this.#socket.destroy()
    }
    for (const stream of streams) {
      this.#remove(stream, undefined)
      stream.sink.onEnd(
        stream.id > lastWritten
          ? new NotProcessedError('The connection to the upstream broke')
          : unavailable('The connection to the upstream broke', { cause: reason }),
      )
    }
  }
}
