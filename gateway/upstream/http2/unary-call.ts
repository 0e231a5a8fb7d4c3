import { Code, StatusError } from '#runtime/status.ts'
import type { Cancellation } from '../cancellation.ts'
import { timeLeft } from '../deadline.ts'
import { type CallMetadata, type CallObserver, NotProcessedError, type TransportObserver } from '../transport.ts'
import type { Channel, ChannelCall } from './channel.ts'
import type { Connection } from './connection.ts'
import type { DeadlineWatch } from './deadline-watch.ts'
import { StreamError } from './errors.ts'
import { inflate } from './inflate.ts'
import { ErrorCode } from './protocol.ts'
import type { RequestHeads } from './request-head.ts'
import { deadlineExceeded } from './status-mapping.ts'
import type { Stream, StreamSink } from './stream.ts'

export interface UnaryCallDependencies {
  readonly channel: Channel
  readonly calls: DeadlineWatch<UnaryCall>
  readonly heads: RequestHeads
  readonly maxMessageLength: number
  readonly observer: TransportObserver | undefined
  /** Called when a call has ended, whichever way. */
  onSettled(): void
}

/** One call, as `Transport.unary` takes it, and the callbacks of its promise. */
export interface UnaryRequest {
  readonly method: string
  readonly message: Uint8Array
  readonly metadata: CallMetadata
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number
  readonly cancellation: Cancellation | undefined
  readonly observer: CallObserver | undefined
  resolve(response: Buffer): void
  reject(error: unknown): void
}

/** Times that a call which no server looked at is made again by itself. Servers that restart one by one may need two. */
const MAX_REPEATS = 2

/** One call from the request to the promise of its answer, over as many streams as it takes. */
export class UnaryCall implements StreamSink, ChannelCall {
  readonly deadline: number
  watchIndex = -1
  readonly #dependencies: UnaryCallDependencies
  readonly #request: UnaryRequest
  #connection: Connection | undefined
  #stream: Stream | undefined
  #response: Buffer | undefined
  #gzipped = false
  #attempts = 0
  #begunAt = 0
  #settled = false

  constructor(dependencies: UnaryCallDependencies, request: UnaryRequest) {
    this.deadline = request.deadline
    this.#dependencies = dependencies
    this.#request = request
  }

  begin(): void {
    const { calls, channel, observer } = this.#dependencies
    if (observer !== undefined) this.#begunAt = performance.now()
    calls.add(this)
    this.#request.cancellation?.follow(this)
    if (this.#request.cancellation?.isRequested) this.cancel()
    else if (timeLeft(this.deadline) <= 0) this.expire()
    else channel.dispatch(this)
  }

  start(connection: Connection): void {
    const { heads } = this.#dependencies
    try {
      const head = heads.encode(this.#request.method, this.#request.metadata, Math.max(1, timeLeft(this.deadline)))
      if (head.listSize > connection.maxHeaderListSize) {
        throw new StatusError(Code.RESOURCE_EXHAUSTED, 'The headers are longer than the service behind takes', {
          reason: 'headers_too_large',
        })
      }
      this.#connection = connection
      this.#attempts++
      this.#request.observer?.onAttempt(this.#attempts, connection.server)
      this.#stream = connection.start(head, this.#request.message, this.deadline, this)
    } catch (error) {
      this.#settle(error instanceof StatusError ? error.code : Code.INTERNAL)
      this.#request.reject(error)
    }
  }

  onMessage(message: Buffer, gzipped: boolean): void {
    if (this.#response !== undefined) {
      throw new StreamError(
        ErrorCode.CANCEL,
        new StatusError(Code.UNIMPLEMENTED, 'The answer has more than one message'),
      )
    }
    this.#response = message
    this.#gzipped = gzipped
  }

  onEnd(error: StatusError | undefined): void {
    this.#stream = undefined
    this.#request.observer?.onAttemptEnd(error)
    if (error === undefined) this.#succeed()
    else if (error instanceof NotProcessedError && this.#attempts <= MAX_REPEATS) {
      this.#response = undefined
      this.#dependencies.channel.dispatch(this)
    } else this.fail(error)
  }

  fail(error: StatusError): void {
    if (this.#settled) return
    this.#settle(error.code)
    this.#request.reject(error)
  }

  /** The deadline has passed. */
  expire(): void {
    this.#abandon(deadlineExceeded())
  }

  /** Nobody waits any more. */
  cancel(): void {
    this.#abandon(new StatusError(Code.CANCELLED, 'The call was cancelled'))
  }

  #abandon(error: StatusError): void {
    if (this.#settled) return
    const stream = this.#stream
    this.#stream = undefined
    if (stream !== undefined) this.#request.observer?.onAttemptEnd(error)
    this.fail(error)
    if (stream !== undefined) this.#connection?.cancel(stream)
    else this.#dependencies.channel.forget(this)
  }

  #succeed(): void {
    if (this.#response === undefined) {
      this.fail(new StatusError(Code.UNIMPLEMENTED, 'The answer has no message'))
    } else if (this.#gzipped) {
      inflate(this.#response, this.#dependencies.maxMessageLength).then(
        response => this.#answer(response),
        error => this.fail(error),
      )
    } else this.#answer(this.#response)
  }

  #answer(response: Buffer): void {
    if (this.#settled) return
    this.#settle(Code.OK)
    this.#request.resolve(response)
  }

  #settle(code: Code): void {
    const { calls, observer, onSettled } = this.#dependencies
    this.#settled = true
    this.#request.cancellation?.follow(undefined)
    calls.delete(this)
    observer?.onCallEnd(this.#request.method, code, performance.now() - this.#begunAt)
    onSettled()
  }
}
