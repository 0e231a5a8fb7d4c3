import { Code, StatusError } from '#runtime/status.ts'
import { StreamError } from './errors.ts'
import { type BufferBudget, charge, checkMessageHeader, MessageAssembler } from './message-assembler.ts'
import { MESSAGE_HEADER_LENGTH } from './outbox.ts'
import { ErrorCode } from './protocol.ts'
import type { ResponseHead } from './response-head.ts'
import { notGrpc, protocolViolation, statusOf } from './status-mapping.ts'

/** Who waits for the answer. */
export interface StreamSink {
  /**
   * @param message its own memory.
   * @param gzipped whether it is to be inflated.
   * @throws StreamError to end the stream.
   */
  onMessage(message: Buffer, gzipped: boolean): void
  /** Once, and last. @param error undefined for OK. */
  onEnd(error: StatusError | undefined): void
}

export interface StreamLimits {
  maxMessageLength: number
  /** Bytes of the receive window of a stream. */
  window: number
}

// With no octet of a message in it a frame costs us more than the peer.
const MAX_EMPTY_FRAMES = 100

/** One call's stream: what of its request is sent, and what its answer has told so far. */
export class Stream {
  readonly id: number
  readonly message: Uint8Array
  /** Milliseconds since the epoch. */
  readonly deadline: number
  readonly sink: StreamSink
  readonly #limits: StreamLimits
  readonly #budget: BufferBudget
  sendWindow: number
  /** Octets of the message with its header. */
  sent = 0
  /** The answer's end, once `receiveHead` or `receiveData` has returned true. */
  status: StatusError | undefined
  #receiveWindow: number
  #head: ResponseHead | undefined
  #received = 0
  #emptyFrames = 0
  #assembler: MessageAssembler | undefined
  /** Octets of messages that were delivered: until the stream ends, whoever waits for it holds them. */
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

  get isSent(): boolean {
    return this.sent === MESSAGE_HEADER_LENGTH + this.message.length
  }

  /** @returns whether the answer is complete. @throws StreamError */
  receiveHead(head: ResponseHead, endStream: boolean): boolean {
    if (head.tooLarge) throw violation(ErrorCode.ENHANCE_YOUR_CALM, 'its headers are too large')
    if (head.malformed !== undefined) throw malformed(head.malformed)
    if (this.#head !== undefined) return this.#receiveTrailers(this.#head, head, endStream)
    if (head.httpStatus === 0) throw malformed('it has no :status')
    if (head.httpStatus < 200) {
      if (endStream || head.httpStatus === 101) throw malformed(`an interim answer ${head.httpStatus} ends it`)
      return false
    }
    if (!head.isGrpc) throw new StreamError(ErrorCode.CANCEL, notGrpc(head))
    this.#head = head
    return endStream && this.#end(head, head)
  }

  #receiveTrailers(head: ResponseHead, trailers: ResponseHead, endStream: boolean): boolean {
    if (trailers.httpStatus !== 0) throw malformed('its trailers have a :status')
    if (!endStream) throw malformed('its trailers do not end it')
    return this.#end(head, trailers)
  }

  #end(head: ResponseHead, trailers: ResponseHead): true {
    this.#checkLength(head)
    this.status = statusOf(trailers, head.httpStatus)
    if (this.status === undefined && this.#assembler?.isEmpty === false) {
      this.status = new StatusError(Code.INTERNAL, 'The answer ends within a message')
    }
    return true
  }

  /** RFC 9113 section 8.1.1. */
  #checkLength({ contentLength }: ResponseHead): void {
    if (contentLength !== -1 && contentLength !== this.#received) throw malformed('its content-length is wrong')
  }

  /**
   * @param start of the data without padding.
   * @param frameLength what counts against the window.
   * @returns whether the answer is complete.
   * @throws StreamError
   */
  receiveData(payload: Buffer, start: number, end: number, frameLength: number, endStream: boolean): boolean {
    this.#receiveWindow -= frameLength
    if (this.#receiveWindow < 0)
      throw violation(ErrorCode.FLOW_CONTROL_ERROR, 'it has more data than its window allows')
    const head = this.#head
    if (head === undefined) throw malformed('it has data before its headers')
    if (start === end && !endStream && ++this.#emptyFrames > MAX_EMPTY_FRAMES) {
      throw violation(ErrorCode.ENHANCE_YOUR_CALM, 'it has too many empty frames')
    }
    this.#received += end - start
    this.#receiveMessages(head, payload, start, end)
    if (endStream) {
      this.#checkLength(head)
      this.status = new StatusError(Code.UNKNOWN, 'The answer has no grpc-status')
    }
    return endStream
  }

  /** @returns by how much the peer's window is to be opened again; 0 while there is enough left. */
  replenish(): number {
    const { window } = this.#limits
    if (this.#receiveWindow > window / 2) return 0
    const increment = window - this.#receiveWindow
    this.#receiveWindow = window
    return increment
  }

  release(): void {
    this.#assembler?.release()
    this.#budget.left += this.#delivered
    this.#delivered = 0
  }

  #receiveMessages(head: ResponseHead, payload: Buffer, start: number, end: number): void {
    const { maxMessageLength } = this.#limits
    if (this.#assembler === undefined) {
      // Nearly always a frame is a message.
      const from = start + MESSAGE_HEADER_LENGTH
      if (from <= end && payload.readUInt32BE(start + 1) === end - from) {
        const flag = payload[start] as number
        checkMessageHeader(flag, end - from, maxMessageLength)
        charge(this.#budget, end - from)
        this.#deliver(head, Buffer.from(payload.subarray(from, end)), flag === 1)
        return
      }
      this.#assembler = new MessageAssembler(maxMessageLength, this.#budget)
    }
    this.#assembler.push(payload, start, end, (message, compressed) => this.#deliver(head, message, compressed))
  }

  #deliver(head: ResponseHead, message: Buffer, compressed: boolean): void {
    this.#delivered += message.length
    if (compressed && head.encoding !== 'gzip') {
      const encoding = head.encoding ?? 'an encoding that it does not name'
      throw new StreamError(
        ErrorCode.CANCEL,
        new StatusError(Code.INTERNAL, `The answer is compressed with ${encoding}, which was not asked for`),
      )
    }
    this.sink.onMessage(message, compressed)
  }
}

function malformed(why: string): StreamError {
  return violation(ErrorCode.PROTOCOL_ERROR, why)
}

function violation(http2Code: number, why: string): StreamError {
  return new StreamError(http2Code, protocolViolation(why))
}
