import autocannon from 'autocannon'
import type { Load, LoadResult } from './load.ts'

/** In this process, which is bound to the core of the load. */
export async function saturateByAutocannon(load: Load): Promise<LoadResult> {
  const { origin, requests, connections, seconds } = load
  let connection = 0
  const result = await autocannon({
    url: origin,
    connections,
    duration: seconds,
    // Each connection has its share: given whole, the list would be copied for each of them.
    setupClient: client => {
      const share = requests.filter((_, at) => at % connections === connection % connections)
      connection++
      client.setRequests((share.length > 0 ? share : requests) as autocannon.Request[])
    },
  })
  return {
    answered: result['2xx'],
    wrong: result.non2xx + result.errors + result.timeouts,
    rate: result['2xx'] / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}
