/** Calls of peers.v1.Peer over the transport under test. */
import { setImmediate } from 'node:timers/promises'
import { StatusError } from '#runtime/status.ts'
import type { CallPolicy } from '../../../gateway/upstream/call-policy.ts'
import type { Cancellation } from '../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import { createGrpcJsTransport } from '../../../gateway/upstream/grpc-js/transport.ts'
import { createHttp2Transport } from '../../../gateway/upstream/http2/transport.ts'
import type { CallMetadata, CallObserver, Transport } from '../../../gateway/upstream/transport.ts'
import { type PeerMethod, peerMethod } from './peer.ts'

/** The transports of the gateway by the name of their setting. */
export const TRANSPORTS = { http2: createHttp2Transport, 'grpc-js': createGrpcJsTransport }

export interface PeerCallOptions {
  /** Default: empty. */
  body?: string | Buffer
  metadata?: CallMetadata
  /** Default: in 10 seconds. */
  deadline?: number
  cancellation?: Cancellation
  observer?: CallObserver
  /** Default: not idempotent. */
  policy?: CallPolicy
}

/** Calls a method of peers.v1.Peer. @returns the response. */
export function callPeer(transport: Transport, method: PeerMethod, options: PeerCallOptions = {}): Promise<Buffer> {
  const { body = '', metadata = {}, deadline = deadlineIn(10_000), cancellation, observer, policy } = options
  const call = transport.unary(
    peerMethod(method),
    Buffer.from(body),
    metadata,
    deadline,
    cancellation,
    observer,
    policy,
  )
  return call as Promise<Buffer>
}

/** Calls Echo, with the body `x` by default. */
export function echo(transport: Transport, options: PeerCallOptions = {}): Promise<Buffer> {
  return callPeer(transport, 'Echo', { body: 'x', ...options })
}

/** @returns whether a call of Echo succeeds. @throws if it fails with anything but a StatusError. */
export function canCall(transport: Transport): Promise<boolean> {
  return echo(transport).then(
    () => true,
    (error: unknown) => {
      if (error instanceof StatusError) return false
      throw error
    },
  )
}

/** @returns the error of a call. @throws if the call succeeds. */
export async function rejectionOf(call: Promise<unknown>): Promise<StatusError> {
  try {
    await call
  } catch (error) {
    return error as StatusError
  }
  throw new Error('The call did not fail')
}

/** Polls until the condition is true. The timeout of the test is the bound. Yields to I/O between two checks. */
export async function waitUntil(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setImmediate()
}
