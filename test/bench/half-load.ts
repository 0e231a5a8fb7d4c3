/** How long a request takes when the gateway has time to spare: at half of what it can do. */
import type { LoadResult, Request } from './load.ts'
import { loadAtRate } from './paced-load.ts'
import { median, type Outcomes } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'
import { budgetVerdict, type Row } from './table.ts'

const ROUNDS = 3
const SECONDS = 2
const CONNECTIONS = 64
const MOST = 5

export interface PacedTarget {
  readonly server: ServerUnderTest
  readonly requests: readonly Request[]
}

/**
 * The floor has the same load in turn: what a server without any work of its own has for a tail is the machine's.
 * @param outcomes of which the case `full edge` says what the gateway can do.
 */
export async function measureHalfLoad(outcomes: Outcomes, gateway: PacedTarget, floor: PacedTarget): Promise<Row> {
  const rate = (outcomes.get('full edge')?.alone?.rate ?? 0) / 2
  const results: LoadResult[] = []
  const floorResults: LoadResult[] = []
  for (let round = 0; round < ROUNDS && rate > 0; round++) {
    floorResults.push(await loadPaced(floor, rate))
    results.push(await loadPaced(gateway, rate))
  }
  const wrong = [...results, ...floorResults].reduce((sum, result) => sum + result.wrong, 0)
  const p50 = median(results.map(({ p50Ms }) => p50Ms))
  const p99 = median(results.map(({ p99Ms }) => p99Ms))
  const ratio = tailOf(results)
  return {
    name: 'p99 at half of the saturation rate',
    figure: `p99 ${p99.toFixed(2)} ms, p50 ${p50.toFixed(2)} ms at ${rate.toFixed(0)}/s`,
    ratio: `${ratio.toFixed(2)} x p50; the floor's ${tailOf(floorResults).toFixed(2)} x`,
    budget: `<= ${MOST} x p50`,
    verdict: wrong > 0 ? 'FAILED' : budgetVerdict(outcomes, ['full edge'], ratio, MOST),
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
