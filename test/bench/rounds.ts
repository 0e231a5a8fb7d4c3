/**
 * Cases measured in turn. A machine that is others' too changes its speed by half from one second to the next, so a turn is
 * a tenth of a second: the load of the case before stands still, that of the next goes on (A B C, A B C, …). Whatever slows
 * the machine then slows them all, and what a case has used in its turns of a round can be compared with what another has.
 */
import { setTimeout as delay } from 'node:timers/promises'

export interface Case {
  readonly name: string
  /** Of a first run that does not count. */
  readonly warmUpSeconds?: number | undefined
  /** Begins, and goes on until it is paused or its time is over. @throws when something is not answered right. */
  start(time: RunTime): Promise<Run>
}

export interface RunTime {
  /** By the clock, until it ends. */
  readonly seconds: number
  /** At most about as many of these it will not be paused. */
  readonly activeSeconds: number
}

export interface Run {
  /** Resolves when nothing of it is under way any more. */
  pause(): Promise<void>
  resume(): void
  /** @throws when anything was not answered right. */
  readonly ended: Promise<Measurement>
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
/** A turn and what it takes to end it, by which the time of a round is reckoned. */
const TURN_SECONDS = 0.11

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
  /** Whatever `work` gives, or undefined when it fails, and has failed before. */
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
    await attempt(contestant, () => runAlone(contestant.one, contestant.one.warmUpSeconds ?? warmUpSeconds))
    contestant.alone = await attempt(contestant, () => runAlone(contestant.one, aloneSeconds))
  }
  for (let round = 1; round <= rounds; round++) {
    tell(`round ${round} of ${rounds}`)
    // The last turn is as long as it takes until the time is over.
    const activeSeconds = (turns * TURN_MS) / 1000 + 1
    const time = { seconds: Math.ceil(turns * cases.length * TURN_SECONDS), activeSeconds }
    const running: [Contestant, Run][] = []
    for (const contestant of contestants) {
      const run = await attempt(contestant, () => contestant.one.start(time))
      if (run === undefined) continue
      // Whoever waits for it is told of its failure, but perhaps not before it has failed.
      run.ended.catch(() => {})
      running.push([contestant, run])
      await delay(TURN_MS)
      await run.pause()
    }
    for (let turn = 1; turn < turns; turn++) {
      for (const [, run] of running) {
        run.resume()
        await delay(TURN_MS)
        await run.pause()
      }
    }
    for (const [contestant, run] of running) {
      run.resume()
      const measurement = await attempt(contestant, () => run.ended)
      if (measurement !== undefined) contestant.measurements.push(measurement)
    }
  }
  return new Map(contestants.map(({ one, ...outcome }) => [one.name, outcome]))
}

/** Without a pause. */
export async function runAlone(one: Case, seconds: number): Promise<Measurement> {
  const { ended } = await one.start({ seconds, activeSeconds: seconds })
  return ended
}

/** Median of the rounds of a case's CPU. */
export function cpuOf(outcomes: Outcomes, name: string): number {
  return medianAcross(outcomes, [name], cpuUs => cpuUs)
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
