/**
 * Cases measured in turn, round after round (A B C, A B C, …), so that whatever slows the machine for a while slows them
 * all. A ratio is taken within one round, and the median of the rounds counts.
 */
export interface Case<Sample> {
  readonly name: string
  /** Measures once. */
  run(): Promise<Sample>
}

/** What became of a case: one sample a round, or the first thing that went wrong. */
export interface Outcome<Sample> {
  readonly samples: readonly Sample[]
  readonly failure: string | undefined
}

/** @param warmUpRounds are run like the others, and forgotten. A case that failed is not run again. */
export async function runRounds<Sample>(
  cases: readonly Case<Sample>[],
  { rounds, warmUpRounds, tell }: { rounds: number; warmUpRounds: number; tell: (text: string) => void },
): Promise<Map<string, Outcome<Sample>>> {
  const samples = new Map<string, Sample[]>(cases.map(({ name }) => [name, []]))
  const failures = new Map<string, string>()
  for (let round = -warmUpRounds; round < rounds; round++) {
    tell(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`)
    for (const { name, run } of cases) {
      if (failures.has(name)) continue
      try {
        const sample = await run()
        if (round >= 0) samples.get(name)?.push(sample)
      } catch (error) {
        failures.set(name, (error as Error).message)
        tell(`${name}: ${(error as Error).message}`)
      }
    }
  }
  return new Map(
    cases.map(({ name }) => [name, { samples: samples.get(name) ?? [], failure: failures.get(name) }] as const),
  )
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] as number
  return sorted.length === 0 ? Number.NaN : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}
