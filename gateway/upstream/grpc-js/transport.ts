import { connectivityState, type ServiceError } from '@grpc/grpc-js'
import { Code, fromGrpcError, StatusError } from '#runtime/status.ts'
import type { Cancellation } from '../cancellation.ts'
import { epochDeadline, timeLeft } from '../deadline.ts'
import { askHealth } from '../health.ts'
import { answerTooLarge, type Transport } from '../transport.ts'
import { GRPC_JS_EXTRA, type GrpcJsOptions, openGrpcJsClient, toBuffer, toMetadata } from './client.ts'

/** The transport over @grpc/grpc-js. */
export function createGrpcJsTransport(options: GrpcJsOptions): Transport {
  const { address, maxMessageLength, observer } = options
  const client = openGrpcJsClient(options)
  let calls = 0
  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, cancellation, callObserver) {
      const begunAt = performance.now()
      function settle(error: StatusError | undefined): void {
        calls--
        cancellation?.follow(undefined)
        callObserver?.onAttemptEnd(error)
        observer?.onCallEnd(method, error?.code ?? Code.OK, performance.now() - begunAt)
      }
      return new Promise((resolve, reject) => {
        const entries = toMetadata(metadata)
        calls++
        callObserver?.onAttempt(1, address)
        const call = client.makeUnaryRequest(
          method,
          toBuffer,
          toBuffer,
          message,
          entries,
          { deadline: epochDeadline(deadline) },
          (error: ServiceError | null, response?: Uint8Array) => {
            const failure =
              error === null
                ? checkLength(response as Uint8Array, maxMessageLength)
                : endedBy(error, deadline, cancellation, maxMessageLength)
            settle(failure)
            if (failure === undefined) resolve(response as Uint8Array)
            else reject(failure)
          },
        )
        cancellation?.follow(call)
        if (cancellation?.isRequested) call.cancel()
      })
    },
    state() {
      const isReady = client.getChannel().getConnectivityState(false) === connectivityState.READY
      return { connections: isReady ? 1 : 0, calls, waitingCalls: isReady ? 0 : calls }
    },
    isServing: () => askHealth(transport),
    close: async () => client.close(),
  }
  return transport
}

function isOwnLimit(details: string, maxMessageLength: number): boolean {
  const limit = maxMessageLength + GRPC_JS_EXTRA
  return (
    details === `Received message that decompresses to a size larger than ${limit}` ||
    (details.startsWith('Received message larger than max (') && details.endsWith(` vs ${limit})`))
  )
}

function checkLength({ length }: Uint8Array, maxMessageLength: number): StatusError | undefined {
  return length > maxMessageLength ? answerTooLarge(maxMessageLength) : undefined
}

/** Timers of two processes agree to a few milliseconds. */
const CLOCK_TOLERANCE_MS = 5

/**
 * At the deadline the server resets the stream as grpc-js is about to give up; when the reset comes first, grpc-js calls
 * it CANCELLED, although nobody cancelled anything.
 */
function endedBy(
  error: ServiceError,
  deadline: number,
  cancellation: Cancellation | undefined,
  maxMessageLength: number,
): StatusError {
  if (error.code === Code.RESOURCE_EXHAUSTED && isOwnLimit(error.details, maxMessageLength)) {
    return answerTooLarge(maxMessageLength, error)
  }
  const isLate = timeLeft(deadline) <= CLOCK_TOLERANCE_MS
  if (error.code !== Code.CANCELLED || cancellation?.isRequested || !isLate) return fromGrpcError(error)
  return new StatusError(Code.DEADLINE_EXCEEDED, 'The deadline has passed', { cause: error })
}
