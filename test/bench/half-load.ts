/** Measures the response time at half of the saturation rate. */
import type { LoadResult, Request } from './load.ts'
import { loadAtRate } from './paced-load.ts'
import { median, type Outcomes } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'
import { budgetVerdict, type Row } from './table.ts'

const ROUNDS = 3
const SECONDS = 2
const CONNECTIONS = 64
const MAX_RATIO = 5

export interface PacedTarget {
  readonly server: ServerUnderTest
  readonly requests: readonly Request[]
}

/**
 * Loads the gateway and the baseline in turn. The tail of the baseline shows the noise of the machine.
 * @param outcomes contains the saturation rate, in the case `full edge`.
 */
export async function measureHalfLoad(outcomes: Outcomes, gateway: PacedTarget, baseline: PacedTarget): Promise<Row> {
  const rate = (outcomes.get('full edge')?.alone?.rate ?? 0) / 2
  const results: LoadResult[] = []
  const baselineResults: LoadResult[] = []
  for (let round = 0; round < ROUNDS && rate > 0; round++) {
    baselineResults.push(await loadPaced(baseline, rate))
    results.push(await loadPaced(gateway, rate))
  }
  const failed = [...results, ...baselineResults].reduce((sum, result) => sum + result.failed, 0)
  const p50 = median(results.map(({ p50Ms }) => p50Ms))
  const p99 = median(results.map(({ p99Ms }) => p99Ms))
  const ratio = tailOf(results)
  return {
    name: 'p99 at half of the saturation rate',
    figure: `p99 ${p99.toFixed(2)} ms, p50 ${p50.toFixed(2)} ms at ${rate.toFixed(0)}/s`,
    ratio: `${ratio.toFixed(2)} x p50; baseline ${tailOf(baselineResults).toFixed(2)} x`,
    budget: `<= ${MAX_RATIO} x p50`,
    verdict: failed > 0 ? 'FAILED' : budgetVerdict(outcomes, ['full edge'], ratio, MAX_RATIO),
  }
}

async function loadPaced({ server, requests }: PacedTarget, rate: number): Promise<LoadResult> {
  const result = await loadAtRate({
    origin: server.origin,
    requests,
    connections: CONNECTIONS,
    seconds: SECONDS,
    rate,
  })
  server.clearLogs()
  return result
}

function tailOf(results: readonly LoadResult[]): number {
  return median(results.map(({ p99Ms, p50Ms }) => p99Ms / p50Ms))
}
