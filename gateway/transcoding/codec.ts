/** The codec of a route, between HTTP and encoded messages. The reference and the compiled codec implement it. */
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { CookieChange, Cookies } from '../http/cookies.ts'

export interface RequestInput {
  /** Percent-decoded, in the order of the path template. */
  readonly pathValues: readonly string[]
  /** The query, percent-encoded, without `?`. */
  readonly query: string
  /** JSON text in UTF-8, or a raw body (contract/http-body.ts); undefined if the request has no body. */
  readonly body: Uint8Array | undefined
  /** The Content-Type header, for a raw body only; undefined if absent. */
  readonly contentType?: string | undefined
  readonly cookies: Cookies
  /** The If-Match header, unparsed; undefined if absent. */
  readonly ifMatch?: string | undefined
}

export interface DecodedResponse {
  /** JSON text; bytes if the response is a raw body. */
  readonly body: string | Uint8Array
  /** The media type of a raw body as the upstream sent it, possibly empty or invalid; undefined for JSON. */
  readonly contentType?: string | undefined
  readonly cookies: readonly CookieChange[]
  /** For the revocation set of the gateway; not part of the body. */
  readonly revocations: readonly Revocation[]
  /** The entity tag without quotes; undefined if the message has none. */
  readonly etag: string | undefined
}

export interface Codec {
  /** @throws StatusError INVALID_ARGUMENT with a violation for each invalid field. */
  encode(input: RequestInput): Uint8Array
  /**
   * @param enumsAsIntegers whether enum values are numbers instead of names. Default: false.
   * @throws Error if the bytes are not a valid message of the response type.
   */
  decode(message: Uint8Array, enumsAsIntegers?: boolean): DecodedResponse
}
