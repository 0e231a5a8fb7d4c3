import { Code, PeerStatusError, StatusError } from '#runtime/status.ts'
import type { CallPolicy } from '../call-policy.ts'
import type { Cancellation } from '../cancellation.ts'
import { timeLeft } from '../deadline.ts'
import { type CallMetadata, type CallObserver, NotProcessedError, type TransportObserver } from '../transport.ts'
import type { Channel, ChannelCall } from './channel.ts'
import type { Connection } from './connection.ts'
import type { DeadlineTimer } from './deadline-timer.ts'
import { StreamError } from './errors.ts'
import { decompress } from './messages.ts'
import { isServerFailure } from './outlier-ejection.ts'
import { ErrorCode } from './protocol.ts'
import type { RequestHeaderEncoder } from './request-headers.ts'
import { CallRetries, isRetryable, parsePushback, type RetryOptions, type RetryOutcome } from './retry-policy.ts'
import { deadlineExceeded } from './status-mapping.ts'
import type { Stream, StreamSink } from './stream.ts'

export interface UnaryCallDependencies {
  readonly channel: Channel
  /** The calls in flight of the transport. */
  readonly calls: DeadlineTimer<UnaryCall>
  readonly headerEncoder: RequestHeaderEncoder
  readonly maxMessageLength: number
  readonly observer: TransportObserver | undefined
  readonly retries: RetryOptions | undefined
  onRetry(outcome: RetryOutcome): void
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
  readonly policy: CallPolicy
  resolve(response: Buffer): void
  reject(error: unknown): void
}

/** Maximum number of transparent retries. Two, because servers that restart one by one may each refuse a call. */
const MAX_TRANSPARENT_RETRIES = 2

/**
 * One unary call. A call that no server has processed (NotProcessedError) is retried transparently on another stream
 * (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries). After that, and after UNAVAILABLE
 * if the call is idempotent and no response began, it is retried by policy (retry-policy.ts). All others fail.
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
  #retries: CallRetries | undefined
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
    const { method, message, observer, reject } = this.#request
    try {
      const timeout = Math.max(1, timeLeft(this.deadline))
      const headers = this.#dependencies.headerEncoder.encode(method, this.#metadata(), timeout)
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
    const stream = this.#stream
    this.#stream = undefined
    this.#request.observer?.onAttemptEnd(error)
    if (error === undefined) {
      this.#recordResponse()
      this.#dependencies.retries?.budget.recordSuccess()
      this.#complete()
      return
    }
    this.#recordFailure(error)
    this.#retries ??= new CallRetries()
    if (error instanceof NotProcessedError && this.#retries.transparent < MAX_TRANSPARENT_RETRIES) {
      this.#retries.transparent++
      this.#dependencies.onRetry('transparent')
      this.#sendAgain()
    } else if (!this.#retry(error, stream)) this.fail(error)
  }

  /** The server responds, whatever the status of the response is. */
  #recordResponse(): void {
    const state = this.#connection?.addressState
    if (state !== undefined) state.failures = 0
  }

  #recordFailure(error: StatusError): void {
    const { hasClientDeadline } = this.#request.policy
    if (isServerFailure(error, hasClientDeadline)) {
      this.#dependencies.channel.recordFailure(this.#connection?.server as string)
    } else if (error instanceof PeerStatusError) this.#recordResponse()
  }

  /** Repeats the call after a delay, if its policy, the budget, the server and the deadline allow it. @returns whether. */
  #retry(error: StatusError, stream: Stream | undefined): boolean {
    const { retries: options, onRetry } = this.#dependencies
    if (options === undefined || !isRetryable(error)) return false
    const isSafe = error instanceof NotProcessedError || (this.#request.policy.isIdempotent && !stream?.hasResponse)
    if (!isSafe) {
      options.budget.recordFailure()
      return false
    }
    const retries = this.#retries as CallRetries
    const pushback = stream?.retryPushback
    const pushbackMs = pushback === undefined ? undefined : parsePushback(pushback)
    const next = retries.next(options, pushbackMs, this.deadline)
    if (typeof next !== 'number') {
      onRetry(next)
      return false
    }
    onRetry('sent')
    retries.timer = setTimeout(() => this.#sendAgain(), next)
    return true
  }

  #sendAgain(): void {
    this.#response = undefined
    this.#dependencies.channel.dispatch(this, this.#connection?.server)
  }

  /** A6, "Exposed Retry Metadata". */
  #metadata(): CallMetadata {
    const { metadata } = this.#request
    return this.#retries === undefined || this.#retries.count === 0
      ? metadata
      : { ...metadata, 'grpc-previous-rpc-attempts': String(this.#retries.count) }
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
    if (stream !== undefined) {
      this.#request.observer?.onAttemptEnd(error)
      this.#recordFailure(error)
    }
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
    if (this.#retries !== undefined) clearTimeout(this.#retries.timer)
    cancellation?.detach()
    calls.delete(this)
    observer?.onCallEnd(method, code, performance.now() - this.#startedAt)
    onSettled()
  }
}
