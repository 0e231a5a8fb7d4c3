import type { handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js'
import type { Principal, UserPrincipal } from '../auth/principal.ts'
import { unauthenticated } from '../status.ts'

/** Context of a call, passed to its handler beside the request message. */
export interface Call {
  /** The verified caller; undefined if the policy allows anonymous calls and no token was sent. */
  readonly principal: Principal | undefined
  /** The verified access token of the caller, for calls to other services on its behalf; undefined without principal. */
  readonly token: string | undefined
  /** Address and User-Agent of the client, reported by the gateway. They identify nobody; only limits depend on them. */
  readonly client: { readonly address: string; readonly userAgent: string }
  /** Aborted when the caller cancels the call or its deadline expires. */
  readonly signal: AbortSignal
}

/** Handlers of a ts-proto service: promises for unary methods, async iterables for server streams. */
export type Handlers<Service> = {
  [M in keyof Service as string extends M ? never : M]: Service[M] extends handleUnaryCall<infer Q, infer R>
    ? (request: Q, call: Call) => Promise<R>
    : Service[M] extends handleServerStreamingCall<infer Q, infer R>
      ? (request: Q, call: Call) => AsyncIterable<R>
      : never
}

/** Returns the calling user. @throws StatusError UNAUTHENTICATED if the caller is anonymous or a service. */
export function userOf(call: Call): UserPrincipal {
  if (call.principal?.kind !== 'user') throw unauthenticated('unauthenticated', 'Sign in first')
  return call.principal
}
