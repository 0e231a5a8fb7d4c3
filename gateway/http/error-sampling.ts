/**
 * What nobody sampled and went wrong is worth a span still: the request's own, which is made when it has ended. Of what
 * the services did nothing is left; the trace id leads to their logs.
 */

/** An outage has few causes, and shall not fill the queue that others wait in. */
const MOST_SPANS_A_SECOND = 10

/**
 * @param ratio the share of failed requests that are not sampled and get a span after all.
 * @returns whether this one does.
 */
export function createErrorSampler(
  ratio: number,
  now: () => number = performance.now.bind(performance),
): () => boolean {
  let second = Number.NEGATIVE_INFINITY
  let taken = 0
  return () => {
    if (Math.random() >= ratio) return false
    if (now() - second >= 1000) {
      second = now()
      taken = 0
    }
    taken++
    return taken <= MOST_SPANS_A_SECOND
  }
}
