/**
 * The codec of a route: converts an HTTP request to an encoded request message, and an encoded response message to the
 * parts of an HTTP response. The reference codec and the compiled codec implement it.
 */
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { CookieChange, Cookies } from '../http/cookies.ts'

/** The parts of an HTTP request that are bound to the request message. */
export interface RequestInput {
  /** Values of the variables of the path template, in its order, percent-decoded. */
  readonly pathValues: readonly string[]
  /** The query, percent-encoded, without `?`. */
  readonly query: string
  /** The body, JSON text in UTF-8; undefined if the request has none. */
  readonly body: Uint8Array | undefined
  readonly cookies: Cookies
  /** The If-Match header, unparsed; undefined if absent. */
  readonly ifMatch?: string | undefined
}

/** The parts of an HTTP response that a response message supplies. */
export interface DecodedResponse {
  /** The body, JSON text. */
  readonly body: string
  /** Cookies to set or delete. */
  readonly cookies: readonly CookieChange[]
  /** Revocations to apply to the gateway's revocation set. They are not part of the body. */
  readonly revocations: readonly Revocation[]
  /** The entity tag without quotes; undefined if the message has none. */
  readonly etag: string | undefined
}

/** Converts between HTTP and the messages of one RPC. */
export interface Codec {
  /** Encodes the request message. @throws StatusError INVALID_ARGUMENT with a violation for each invalid field. */
  encode(input: RequestInput): Uint8Array
  /** Decodes a response message. @throws Error if the bytes are not a valid message of the response type. */
  decode(message: Uint8Array): DecodedResponse
}
