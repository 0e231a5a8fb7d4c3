import { connectivityState, type ServiceError } from '@grpc/grpc-js'
import { toStatusError } from '#runtime/grpc/client.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { Cancellation } from '../cancellation.ts'
import { timeLeft, toEpochDeadline } from '../deadline.ts'
import { checkHealth } from '../health.ts'
import { responseTooLarge, type Transport } from '../transport.ts'
import { GRPC_JS_LIMIT_OFFSET, type GrpcJsOptions, openGrpcJsClient, toBuffer, toMetadata } from './client.ts'

/** Creates a transport over @grpc/grpc-js. It connects with the first call. */
export function createGrpcJsTransport(options: GrpcJsOptions): Transport {
  const { address, maxMessageLength, observer, origin = address } = options
  const client = openGrpcJsClient(options)
  let calls = 0
  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, cancellation, callObserver) {
      const startedAt = performance.now()
      function settle(error: StatusError | undefined): void {
        calls--
        cancellation?.detach()
        callObserver?.onAttemptEnd(error)
        observer?.onCallEnd(method, error?.code ?? Code.OK, performance.now() - startedAt)
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
          { deadline: toEpochDeadline(deadline) },
          (error: ServiceError | null, response?: Uint8Array) => {
            const failure =
              error === null
                ? checkLength(response as Uint8Array, maxMessageLength)
                : statusOf(error, origin, deadline, cancellation, maxMessageLength)
            settle(failure)
            if (failure === undefined) resolve(response as Uint8Array)
            else reject(failure)
          },
        )
        cancellation?.attach(call)
        if (cancellation?.isRequested) call.cancel()
      })
    },
    state() {
      const isReady = client.getChannel().getConnectivityState(false) === connectivityState.READY
      return { connections: isReady ? 1 : 0, calls, waitingCalls: isReady ? 0 : calls }
    },
    isServing: () => checkHealth(transport),
    close: async () => client.close(),
  }
  return transport
}

function isOwnLimit(details: string, maxMessageLength: number): boolean {
  const limit = maxMessageLength + GRPC_JS_LIMIT_OFFSET
  return (
    details === `Received message that decompresses to a size larger than ${limit}` ||
    (details.startsWith('Received message larger than max (') && details.endsWith(` vs ${limit})`))
  )
}

function checkLength({ length }: Uint8Array, maxMessageLength: number): StatusError | undefined {
  return length > maxMessageLength ? responseTooLarge(maxMessageLength) : undefined
}

/** Tolerance for the difference between the deadline timers of client and server. */
const CLOCK_TOLERANCE_MS = 5

/**
 * Converts an error of grpc-js. At the deadline the server resets the stream with CANCEL. If that arrives before the
 * client's own timer fires, grpc-js reports CANCELLED; this function returns DEADLINE_EXCEEDED.
 */
function statusOf(
  error: ServiceError,
  origin: string,
  deadline: number,
  cancellation: Cancellation | undefined,
  maxMessageLength: number,
): StatusError {
  if (error.code === Code.RESOURCE_EXHAUSTED && isOwnLimit(error.details, maxMessageLength)) {
    return responseTooLarge(maxMessageLength, error)
  }
  const isLate = timeLeft(deadline) <= CLOCK_TOLERANCE_MS
  if (error.code !== Code.CANCELLED || cancellation?.isRequested || !isLate) return toStatusError(error, origin)
  return new StatusError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded', { cause: error })
}
