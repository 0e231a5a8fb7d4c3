/**
 * Cases measured in turn, round after round (A B C, A B C, …), so that whatever slows the machine for a while slows them
 * all. A ratio is taken within one round, and the median of the rounds counts.
 */
export interface Case {
  readonly name: string
  /** Measures once. @throws when anything was not answered right. */
  run(seconds: number): Promise<Measurement>
}

export interface Measurement {
  /** Microseconds of CPU of the processes under test for one request, user and system. */
  readonly cpuUs: number
  /** Answers a second. */
  readonly rate?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  /** Share of the time in which its core was busy with it. */
  readonly busy?: number
  readonly residentBytes?: number
}

/** What became of a case: one measurement a round, or the first thing that went wrong. */
export interface Outcome {
  readonly measurements: readonly Measurement[]
  readonly failure?: string
}

export type Outcomes = ReadonlyMap<string, Outcome>

export interface RoundsOptions {
  readonly rounds: number
  readonly seconds: number
  /** Of a first round that does not count. */
  readonly warmUpSeconds: number
  readonly tell: (text: string) => void
}

/** A case that failed is not run again. */
export async function runRounds(cases: readonly Case[], options: RoundsOptions): Promise<Outcomes> {
  const { rounds, seconds, warmUpSeconds, tell } = options
  const outcomes = new Map<string, { measurements: Measurement[]; failure?: string }>(
    cases.map(({ name }) => [name, { measurements: [] }]),
  )
  for (let round = 0; round <= rounds; round++) {
    tell(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`)
    for (const { name, run } of cases) {
      const outcome = outcomes.get(name)
      if (outcome === undefined || outcome.failure !== undefined) continue
      try {
        const measurement = await run(round === 0 ? warmUpSeconds : seconds)
        if (round > 0) outcome.measurements.push(measurement)
      } catch (error) {
        outcome.failure = (error as Error).message
        tell(`${name} FAILED: ${outcome.failure}`)
      }
    }
  }
  return outcomes
}

/** Median of a case's rounds. */
export function medianOf(
  outcomes: Outcomes,
  name: string,
  pick: (measurement: Measurement) => number | undefined,
): number {
  return median((outcomes.get(name)?.measurements ?? []).map(measurement => pick(measurement) ?? Number.NaN))
}

/** Median over the rounds of something that is worked out from several cases' CPU in one round. */
export function medianAcross(outcomes: Outcomes, names: readonly string[], of: (...cpuUs: number[]) => number): number {
  const series = names.map(name => (outcomes.get(name)?.measurements ?? []).map(({ cpuUs }) => cpuUs))
  const rounds = Math.min(...series.map(({ length }) => length))
  return median(Array.from({ length: rounds }, (_, at) => of(...series.map(one => one[at] as number))))
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] as number
  return sorted.length === 0 ? Number.NaN : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}
