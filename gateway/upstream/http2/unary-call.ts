import { Code, StatusError } from '#runtime/status.ts'
import type { Cancellation } from '../cancellation.ts'
import { timeLeft } from '../deadline.ts'
import { type CallMetadata, type CallObserver, NotProcessedError, type TransportObserver } from '../transport.ts'
import type { Channel, ChannelCall } from './channel.ts'
import type { Connection } from './connection.ts'
import type { DeadlineTimer } from './deadline-timer.ts'
import { StreamError } from './errors.ts'
import { decompress } from './messages.ts'
import { ErrorCode } from './protocol.ts'
import type { RequestHeaderEncoder } from './request-headers.ts'
import { deadlineExceeded } from './status-mapping.ts'
import type { Stream, StreamSink } from './stream.ts'

export interface UnaryCallDependencies {
  readonly channel: Channel
  /** The calls in flight of the transport. */
  readonly calls: DeadlineTimer<UnaryCall>
  readonly headerEncoder: RequestHeaderEncoder
  readonly maxMessageLength: number
  readonly observer: TransportObserver | undefined
  onSettled(): void
}

/** The arguments of `Transport.unary` and the callbacks of its promise. */
export interface UnaryRequest {
  readonly method: string
  readonly message: Uint8Array
  readonly metadata: CallMetadata
  readonly deadline: number
  readonly cancellation: Cancellation | undefined
  readonly observer: CallObserver | undefined
  resolve(response: Buffer): void
  reject(error: unknown): void
}

/** Maximum number of transparent retries. Two, because servers that restart one by one may each refuse a call. */
const MAX_TRANSPARENT_RETRIES = 2

/**
 * One unary call. A call that no server has processed (NotProcessedError) is retried transparently on another stream
 * (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries); all others fail.
 */
export class UnaryCall implements StreamSink, ChannelCall {
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number
  timerIndex = -1
  readonly #dependencies: UnaryCallDependencies
  readonly #request: UnaryRequest
  #connection: Connection | undefined
  #stream: Stream | undefined
  #response: Buffer | undefined
  #gzipped = false
  #attempts = 0
  #startedAt = 0
  #settled = false

  constructor(dependencies: UnaryCallDependencies, request: UnaryRequest) {
    this.deadline = request.deadline
    this.#dependencies = dependencies
    this.#request = request
  }

  start(): void {
    const { calls, channel, observer } = this.#dependencies
    const { cancellation } = this.#request
    if (observer !== undefined) this.#startedAt = performance.now()
    calls.add(this)
    cancellation?.attach(this)
    if (cancellation?.isRequested) this.cancel()
    else if (timeLeft(this.deadline) <= 0) this.expire()
    else channel.dispatch(this)
  }

  sendOn(connection: Connection): void {
    const { method, message, metadata, observer, reject } = this.#request
    try {
      const headers = this.#dependencies.headerEncoder.encode(method, metadata, Math.max(1, timeLeft(this.deadline)))
      if (headers.listSize > connection.maxHeaderListSize) {
        throw new StatusError(Code.RESOURCE_EXHAUSTED, 'The request headers are longer than the upstream accepts', {
          reason: 'headers_too_large',
        })
      }
      this.#connection = connection
      this.#attempts++
      observer?.onAttempt(this.#attempts, connection.server)
      this.#stream = connection.start(headers, message, this.deadline, this)
    } catch (error) {
      this.#settle(error instanceof StatusError ? error.code : Code.INTERNAL)
      reject(error)
    }
  }

  onMessage(message: Buffer, gzipped: boolean): void {
    if (this.#response !== undefined) {
      throw new StreamError(
        ErrorCode.CANCEL,
        new StatusError(Code.UNIMPLEMENTED, 'The response of a unary call has more than one message'),
      )
    }
    this.#response = message
    this.#gzipped = gzipped
  }

  onEnd(error: StatusError | undefined): void {
    this.#stream = undefined
    this.#request.observer?.onAttemptEnd(error)
    if (error === undefined) this.#complete()
    else if (error instanceof NotProcessedError && this.#attempts <= MAX_TRANSPARENT_RETRIES) {
      this.#response = undefined
      this.#dependencies.channel.dispatch(this)
    } else this.fail(error)
  }

  fail(error: StatusError): void {
    if (this.#settled) return
    this.#settle(error.code)
    this.#request.reject(error)
  }

  expire(): void {
    this.#abort(deadlineExceeded())
  }

  cancel(): void {
    this.#abort(new StatusError(Code.CANCELLED, 'The call was cancelled'))
  }

  #abort(error: StatusError): void {
    if (this.#settled) return
    const stream = this.#stream
    this.#stream = undefined
    if (stream !== undefined) this.#request.observer?.onAttemptEnd(error)
    this.fail(error)
    if (stream !== undefined) this.#connection?.cancel(stream)
    else this.#dependencies.channel.remove(this)
  }

  #complete(): void {
    if (this.#response === undefined) {
      this.fail(new StatusError(Code.UNIMPLEMENTED, 'The response of a unary call has no message'))
    } else if (this.#gzipped) {
      decompress(this.#response, this.#dependencies.maxMessageLength).then(
        response => this.#succeed(response),
        error => this.fail(error),
      )
    } else this.#succeed(this.#response)
  }

  #succeed(response: Buffer): void {
    if (this.#settled) return
    this.#settle(Code.OK)
    this.#request.resolve(response)
  }

  #settle(code: Code): void {
    const { calls, observer, onSettled } = this.#dependencies
    const { method, cancellation } = this.#request
    this.#settled = true
    cancellation?.detach()
    calls.delete(this)
    observer?.onCallEnd(method, code, performance.now() - this.#startedAt)
    onSettled()
  }
}
