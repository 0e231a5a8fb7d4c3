/** In an outage, many requests fail for the same reason. Their spans must not fill the span queue, which is bounded. */
const MAX_SPANS_PER_SECOND = 10

/**
 * Samples failed requests after they have ended. Only the server span of the gateway can be recorded at that time; the
 * spans of the services are lost, but their log lines have the same trace id.
 * @param ratio fraction of the unsampled failed requests to sample, from 0 to 1. At most 10 requests per second are sampled.
 * @param now monotonic clock in milliseconds. Default: `performance.now`.
 * @returns a function to call once per failed request; it returns whether to record the span.
 */
export function createErrorSampler(
  ratio: number,
  now: () => number = performance.now.bind(performance),
): () => boolean {
  let windowStart = Number.NEGATIVE_INFINITY
  let sampled = 0
  return () => {
    if (Math.random() >= ratio) return false
    if (now() - windowStart >= 1000) {
      windowStart = now()
      sampled = 0
    }
    sampled++
    return sampled <= MAX_SPANS_PER_SECOND
  }
}
