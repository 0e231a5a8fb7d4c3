/** The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), both lists. */
import type { FastifyReply } from 'fastify'
import type { Quota } from '#runtime/quota.ts'

/** An item of `RateLimit-Policy`: the capacity, and the seconds until an empty bucket is full. */
export function policyItem(name: string, limit: number, windowS: number): string {
  return `"${name}";q=${limit};w=${windowS}`
}

/** An item of `RateLimit`: the tokens left, and the seconds until the next one or until a rejected request is admitted. */
export function limitItem(name: string, remaining: number, resetS: number): string {
  return `"${name}";r=${remaining};t=${resetS}`
}

/** Puts the quota that an upstream reports in front of the one that the gateway has charged. */
export function prependQuota(reply: FastifyReply, { name, limit, windowS, remaining, resetS }: Quota): void {
  prepend(reply, 'ratelimit-policy', policyItem(name, limit, windowS))
  prepend(reply, 'ratelimit', limitItem(name, remaining, resetS))
}

function prepend(reply: FastifyReply, field: string, item: string): void {
  const present = reply.getHeader(field)
  reply.header(field, present === undefined ? item : `${item}, ${present}`)
}
