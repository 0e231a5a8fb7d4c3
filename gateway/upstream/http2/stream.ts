import { Code, StatusError } from '#runtime/status.ts'
import { StreamError } from './errors.ts'
import { MESSAGE_HEADER_LENGTH } from './frame-writer.ts'
import { type BufferBudget, charge, checkMessageHeader, MessageAssembler } from './messages.ts'
import { ErrorCode } from './protocol.ts'
import type { ResponseHeaders } from './response-headers.ts'
import { notGrpc, protocolViolation, statusOf } from './status-mapping.ts'

export interface StreamSink {
  /** @param message not shared; the sink may keep it. @throws StreamError to reset the stream. */
  onMessage(message: Buffer, gzipped: boolean): void
  /** Called exactly once, last. @param error undefined for status OK. */
  onEnd(error: StatusError | undefined): void
}

export interface StreamLimits {
  /** Maximum length of one response message, in bytes. */
  maxMessageLength: number
  /** Size of the receive window, in octets. */
  window: number
}

/** Empty DATA frames cost the receiver more than the sender. Beyond this number the stream is reset. */
const MAX_EMPTY_FRAMES = 100

/** The stream of one call: how much of the request is sent, and the checks and state of its response. */
export class Stream {
  readonly id: number
  readonly message: Uint8Array
  /** Milliseconds of `performance.now()`; Infinity for a stream without a deadline. */
  readonly deadline: number
  readonly sink: StreamSink
  readonly #limits: StreamLimits
  readonly #budget: BufferBudget
  /** Octets that the peer accepts. May be negative, RFC 9113 section 6.9.2. */
  sendWindow: number
  /** Octets sent of the message and its 5-octet prefix. */
  sent = 0
  /** The status of the response, once `receiveHeaders` or `receiveData` has returned true. Undefined means OK. */
  status: StatusError | undefined
  /** `grpc-retry-pushback-ms` of a response with an error status. */
  retryPushback: string | undefined
  #receiveWindow: number
  #headers: ResponseHeaders | undefined
  #isTrailersOnly = false
  #received = 0
  #emptyFrames = 0
  #assembler: MessageAssembler | undefined
  /** Octets of delivered messages. The sink holds them until the stream ends, so they stay charged to the budget. */
  #delivered = 0

  constructor(
    id: number,
    message: Uint8Array,
    deadline: number,
    sendWindow: number,
    sink: StreamSink,
    limits: StreamLimits,
    budget: BufferBudget,
  ) {
    this.id = id
    this.message = message
    this.deadline = deadline
    this.sendWindow = sendWindow
    this.sink = sink
    this.#limits = limits
    this.#budget = budget
    this.#receiveWindow = limits.window
  }

  /** Whether response headers arrived that were not the whole response. */
  get hasResponse(): boolean {
    return this.#headers !== undefined && !this.#isTrailersOnly
  }

  get isSent(): boolean {
    return this.sent === MESSAGE_HEADER_LENGTH + this.message.length
  }

  /**
   * Processes response headers, an interim response or trailers. Returns whether the response is complete.
   * @throws StreamError for a malformed response or one that is not gRPC.
   */
  receiveHeaders(headers: ResponseHeaders, endStream: boolean): boolean {
    if (headers.tooLarge) throw violation(ErrorCode.ENHANCE_YOUR_CALM, 'header list is too large')
    if (headers.malformed !== undefined) throw malformed(headers.malformed)
    if (this.#headers !== undefined) return this.#receiveTrailers(this.#headers, headers, endStream)
    if (headers.httpStatus === 0) throw malformed('no :status')
    if (headers.httpStatus < 200) {
      if (endStream || headers.httpStatus === 101) throw malformed(`invalid interim response ${headers.httpStatus}`)
      return false
    }
    if (!headers.isGrpc) throw new StreamError(ErrorCode.CANCEL, notGrpc(headers))
    this.#headers = headers
    this.#isTrailersOnly = endStream
    return endStream && this.#end(headers, headers)
  }

  #receiveTrailers(headers: ResponseHeaders, trailers: ResponseHeaders, endStream: boolean): boolean {
    if (trailers.httpStatus !== 0) throw malformed(':status in trailers')
    if (!endStream) throw malformed('trailers without END_STREAM')
    return this.#end(headers, trailers)
  }

  #end(headers: ResponseHeaders, trailers: ResponseHeaders): true {
    this.#checkContentLength(headers)
    this.status = statusOf(trailers, headers.httpStatus)
    this.retryPushback = trailers.retryPushback
    if (this.status === undefined && this.#assembler?.isEmpty === false) {
      this.status = new StatusError(Code.INTERNAL, 'The response ends within a message')
    }
    return true
  }

  /** RFC 9113 section 8.1.1. */
  #checkContentLength({ contentLength }: ResponseHeaders): void {
    if (contentLength !== -1 && contentLength !== this.#received) throw malformed('wrong content-length')
  }

  /**
   * Processes DATA without padding; `flowLength` includes it. Returns whether the response is complete.
   * @throws StreamError for a protocol violation or an exceeded limit.
   */
  receiveData(payload: Buffer, start: number, end: number, flowLength: number, endStream: boolean): boolean {
    this.#receiveWindow -= flowLength
    if (this.#receiveWindow < 0) throw violation(ErrorCode.FLOW_CONTROL_ERROR, 'DATA exceeds the window')
    const headers = this.#headers
    if (headers === undefined) throw malformed('DATA before HEADERS')
    if (start === end && !endStream && ++this.#emptyFrames > MAX_EMPTY_FRAMES) {
      throw violation(ErrorCode.ENHANCE_YOUR_CALM, 'too many empty DATA frames')
    }
    this.#received += end - start
    this.#receiveMessages(headers, payload, start, end)
    if (endStream) {
      this.#checkContentLength(headers)
      this.status = new StatusError(Code.UNKNOWN, 'The response has no grpc-status')
    }
    return endStream
  }

  /** Returns the increment to send as WINDOW_UPDATE; 0 while more than half of the window is left. */
  replenish(): number {
    const { window } = this.#limits
    if (this.#receiveWindow > window / 2) return 0
    const increment = window - this.#receiveWindow
    this.#receiveWindow = window
    return increment
  }

  /** Refunds the buffers of the stream to the budget. Called when the stream ends. */
  release(): void {
    this.#assembler?.release()
    this.#budget.remaining += this.#delivered
    this.#delivered = 0
  }

  #receiveMessages(headers: ResponseHeaders, payload: Buffer, start: number, end: number): void {
    const { maxMessageLength } = this.#limits
    if (this.#assembler === undefined) {
      // Fast path: most DATA frames hold exactly one message.
      const from = start + MESSAGE_HEADER_LENGTH
      if (from <= end && payload.readUInt32BE(start + 1) === end - from) {
        const flag = payload[start] as number
        checkMessageHeader(flag, end - from, maxMessageLength)
        charge(this.#budget, end - from)
        this.#deliver(headers, Buffer.from(payload.subarray(from, end)), flag === 1)
        return
      }
      this.#assembler = new MessageAssembler(maxMessageLength, this.#budget)
    }
    this.#assembler.push(payload, start, end, (message, compressed) => this.#deliver(headers, message, compressed))
  }

  #deliver(headers: ResponseHeaders, message: Buffer, compressed: boolean): void {
    this.#delivered += message.length
    if (compressed && headers.encoding !== 'gzip') {
      const encoding = headers.encoding ?? 'no grpc-encoding'
      throw new StreamError(
        ErrorCode.CANCEL,
        new StatusError(
          Code.INTERNAL,
          `The response has a compressed message with ${encoding}; only gzip is supported`,
        ),
      )
    }
    this.sink.onMessage(message, compressed)
  }
}

function malformed(reason: string): StreamError {
  return violation(ErrorCode.PROTOCOL_ERROR, reason)
}

function violation(http2Code: number, reason: string): StreamError {
  return new StreamError(http2Code, protocolViolation(reason))
}
