/** In an outage, many requests fail for the same reason. Their spans must not fill the bounded span queue. */
const MAX_SPANS_PER_SECOND = 10

/**
 * Decides after the end of an unsampled request that failed whether to record its server span. The spans of the services
 * are lost then, but their log lines have the same trace id.
 * @param ratio fraction of these requests, from 0 to 1. At most 10 per second are recorded.
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
