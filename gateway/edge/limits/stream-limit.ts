import type { FastifyRequest } from 'fastify'
import { HttpError } from '../../http/http-errors.ts'
import { addressOf, principalOf } from './rate-limits.ts'

/** Time in seconds after which a rejected client may retry. How long streams last is unknown. */
const RETRY_AFTER_S = 5

/** Bounds the streams that a caller has open at once in this process. */
export interface StreamLimit {
  /**
   * Counts a stream of the caller: the user of the access token, or the client address of an anonymous request.
   * @returns a function that must be called once, when the stream has ended.
   * @throws HttpError `too_many_streams` (429) if the caller has the maximum number of open streams.
   */
  admit(request: FastifyRequest): () => void
}

/** @param maxStreams maximum number of streams of a caller. */
export function createStreamLimit(maxStreams: number): StreamLimit {
  /** Caller -> number of open streams. */
  const open = new Map<string, number>()

  return {
    admit(request) {
      const { principal } = request
      const caller = principal === undefined ? `address:${addressOf(request)}` : `user:${principalOf(request)}`
      const count = open.get(caller) ?? 0
      if (count >= maxStreams) {
        throw new HttpError('too_many_streams', {
          headers: { 'retry-after': String(RETRY_AFTER_S) },
          detail: `Too many open streams (at most ${maxStreams}). Close one, or read it to its end.`,
        })
      }
      open.set(caller, count + 1)
      return () => {
        const left = (open.get(caller) ?? 1) - 1
        if (left === 0) open.delete(caller)
        else open.set(caller, left)
      }
    },
  }
}
