/**
 * The codec of one route: an HTTP request to message bytes, message bytes to an HTTP answer. The interface is small so
 * that a codec compiled for the method can stand in the place of the reference.
 */
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { Cookie } from '#runtime/grpc/contract.ts'

/** What a request gives to its message. */
export interface RequestInput {
  /** Of the template's variables, in their order, decoded. */
  readonly pathValues: readonly string[]
  /** Raw, without the `?`. */
  readonly query: string
  /** The JSON text; undefined without a body. */
  readonly body: Uint8Array | undefined
  readonly cookies: Readonly<Record<string, string | undefined>>
  /** The header, as it came. */
  readonly ifMatch?: string | undefined
}

export interface CookieChange {
  readonly cookie: Cookie
  /** Empty clears the cookie. */
  readonly value: string
  /** Seconds; undefined for a cookie of the browser's session. */
  readonly maxAge: number | undefined
}

/** What a message gives to its response. */
export interface Answer {
  /** The JSON text. */
  readonly body: string
  readonly cookies: readonly CookieChange[]
  readonly revocations: readonly Revocation[]
  /** The entity tag, without quotes. */
  readonly etag: string | undefined
}

export interface Codec {
  /** @throws StatusError INVALID_ARGUMENT with a violation for each field that is wrong. */
  encode(input: RequestInput): Uint8Array
  /** @throws Error when the upstream's bytes are not the message they should be. */
  decode(message: Uint8Array): Answer
}
