/**
 * The fields `RateLimit-Policy` and `RateLimit`, structured fields as draft-ietf-httpapi-ratelimit-headers-11 has them.
 */
import type { BucketShape } from './token-bucket.ts'

/** `"user";q=100;w=10`: the tokens of a bucket, and the seconds in which an empty one is full again. */
export function policyField(limitClass: string, { tokens, capacity, gain }: BucketShape): string {
  return `"${limitClass}";q=${tokens};w=${Math.max(1, Math.ceil(capacity / gain / 1e6))}`
}

/** `"user";r=99;t=1`: for so many seconds there will be no more than this. */
export function limitField(limitClass: string, remaining: number, seconds: number): string {
  return `"${limitClass}";r=${remaining};t=${seconds}`
}
