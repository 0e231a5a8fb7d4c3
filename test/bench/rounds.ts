/**
 * Cases measured in turn. A machine that is others' too changes its speed by half from one second to the next, so a turn is
 * a tenth of a second: the load of the case before stands still, that of the next goes on (A B C, A B C, …). Whatever slows
 * the machine then slows them all, and what a case has used in its turns of a round can be compared with what another has.
 */
import { setTimeout as delay } from 'node:timers/promises'

export interface Case {
  readonly name: string
  /** Of a first run that does not count. 0 for what is warm by another case: it is not run alone at all. */
  readonly warmUpSeconds?: number | undefined
  /**
   * Begins, and goes on until it is paused or ended.
   * @param seconds that it will go on for at most, its pauses apart.
   * @throws when something is not answered right.
   */
  start(seconds: number): Promise<Run>
}

export interface Run {
  /** Resolves when nothing of it is under way any more. */
  pause(): Promise<void>
  resume(): void
  /** To be called while it is not paused. @throws when anything was not answered right. */
  end(): Promise<Measurement>
}

export interface Measurement {
  /** Microseconds of CPU of the processes under test for one request, user and system. */
  readonly cpuUs: number
  /** Answers a second. */
  readonly rate?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  readonly residentBytes?: number
}

/** What became of a case, or the first thing that went wrong. */
export interface Outcome {
  /** Without a pause: how fast it answers. */
  readonly alone?: Measurement
  /** In turn with the others, one a round: what it takes. */
  readonly measurements: readonly Measurement[]
  readonly failure?: string
}

export type Outcomes = ReadonlyMap<string, Outcome>

export interface RoundsOptions {
  readonly rounds: number
  /** That each case has in a round. */
  readonly turns: number
  /** Of cases that do not say themselves. */
  readonly warmUpSeconds: number
  /** Of the run without a pause. */
  readonly aloneSeconds: number
  readonly tell: (text: string) => void
}

const TURN_MS = 100
/** What a run may take longer than it was given: generators end when they next look at a clock of their own. */
const SPARE_SECONDS = 0.3

interface Contestant {
  readonly one: Case
  alone?: Measurement
  measurements: Measurement[]
  failure?: string
}

/** A case that failed is not run again. */
export async function runRounds(cases: readonly Case[], options: RoundsOptions): Promise<Outcomes> {
  const { rounds, turns, warmUpSeconds, aloneSeconds, tell } = options
  const contestants = cases.map((one): Contestant => ({ one, measurements: [] }))
  /** Whatever `work` gives, or undefined when it fails or has failed before. */
  async function attempt<R>(contestant: Contestant, work: () => Promise<R>): Promise<R | undefined> {
    if (contestant.failure !== undefined) return undefined
    try {
      return await work()
    } catch (error) {
      contestant.failure = (error as Error).message
      tell(`${contestant.one.name} FAILED: ${contestant.failure}`)
      return undefined
    }
  }

  tell('each alone')
  for (const contestant of contestants) {
    const { warmUpSeconds: ownSeconds = warmUpSeconds } = contestant.one
    if (ownSeconds === 0) continue
    await attempt(contestant, () => runAlone(contestant.one, ownSeconds))
    contestant.alone = await attempt(contestant, () => runAlone(contestant.one, aloneSeconds))
  }
  for (let round = 1; round <= rounds; round++) {
    tell(`round ${round} of ${rounds}`)
    const running: [Contestant, Run][] = []
    for (const contestant of contestants) {
      const run = await attempt(contestant, () => contestant.one.start((turns * TURN_MS) / 1000 + SPARE_SECONDS))
      if (run === undefined) continue
      running.push([contestant, run])
      await delay(TURN_MS)
      await run.pause()
    }
    for (let turn = 2; turn < turns; turn++) {
      for (const [, run] of running) {
        run.resume()
        await delay(TURN_MS)
        await run.pause()
      }
    }
    for (const [contestant, run] of running) {
      run.resume()
      await delay(TURN_MS)
      const measurement = await attempt(contestant, () => run.end())
      if (measurement !== undefined) contestant.measurements.push(measurement)
    }
  }
  return new Map(contestants.map(({ one, ...outcome }) => [one.name, outcome]))
}

/** Without a pause. */
export async function runAlone(one: Case, seconds: number): Promise<Measurement> {
  const run = await one.start(seconds + SPARE_SECONDS)
  await delay(seconds * 1000)
  return run.end()
}

/** Median of the rounds of the CPU of a case, or of several alike: of their mean. */
export function cpuOf(outcomes: Outcomes, names: readonly string[]): number {
  return median(acrossRounds(outcomes, names, mean))
}

/** What is worked out from several cases' CPU in one round, for each round. */
export function acrossRounds(
  outcomes: Outcomes,
  names: readonly string[],
  of: (cpuUs: readonly number[]) => number,
): number[] {
  const series = names.map(name => (outcomes.get(name)?.measurements ?? []).map(({ cpuUs }) => cpuUs))
  const rounds = Math.min(...series.map(({ length }) => length))
  return Array.from({ length: rounds }, (_, at) => of(series.map(one => one[at] as number)))
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Between two values: in proportion. Of none it is not a number. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * fraction
  const [below = Number.NaN, above = below] = sorted.slice(Math.floor(at))
  return below + (above - below) * (at % 1)
}
