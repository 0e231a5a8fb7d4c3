/**
 * Measures cases in turn. The speed of a shared machine can change by half from one second to the next, so a turn takes
 * 0.1 s: the load of one case pauses, that of the next resumes (A B C, A B C, …). A slow phase then affects all cases
 * alike, and the CPU of two cases in one round is comparable.
 */
import { setTimeout as delay } from 'node:timers/promises'

/** One measured configuration. */
export interface Case {
  readonly name: string
  /** Duration of the warm-up, in seconds. 0: another case warms the server up, and this one has no run alone. */
  readonly warmUpSeconds?: number | undefined
  /**
   * Starts a run.
   * @param seconds maximum duration without pauses.
   * @throws if the server does not return the expected response.
   */
  start(seconds: number): Promise<Run>
}

export interface Run {
  /** Pauses the load. Resolves when no request is in flight. */
  pause(): Promise<void>
  resume(): void
  /** Ends the run, which must not be paused. @throws if any request failed. */
  end(): Promise<Measurement>
}

export interface Measurement {
  /** CPU time of the measured processes per request, user and system, in microseconds. */
  readonly cpuUs: number
  /** Responses per second. */
  readonly rate?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  readonly residentBytes?: number
}

export interface Outcome {
  /** Result of the run without pauses: rate and latency at saturation. */
  readonly alone?: Measurement
  /** Results of the rounds, one per round: the CPU time. */
  readonly measurements: readonly Measurement[]
  /** Message of the first error. The case does not run again after it. */
  readonly failure?: string
}

/** Results by the name of the case. */
export type Outcomes = ReadonlyMap<string, Outcome>

export interface RoundsOptions {
  readonly rounds: number
  /** Number of turns of each case in a round, at least 2. */
  readonly turns: number
  /** Warm-up of cases that do not set their own, in seconds. */
  readonly warmUpSeconds: number
  /** Duration of the run without pauses, in seconds. */
  readonly aloneSeconds: number
  readonly log: (text: string) => void
}

const TURN_MS = 100
/** Tolerance for the end of a run, because generators check their clock at intervals. */
const TOLERANCE_SECONDS = 0.3

interface CaseState {
  readonly benchCase: Case
  alone?: Measurement
  measurements: Measurement[]
  failure?: string
}

/** Warms up and runs each case alone, then all cases in rounds. Errors of a case are recorded in its outcome. */
export async function runRounds(cases: readonly Case[], options: RoundsOptions): Promise<Outcomes> {
  const { rounds, turns, warmUpSeconds, aloneSeconds, log } = options
  const states = cases.map((benchCase): CaseState => ({ benchCase, measurements: [] }))
  /** @returns the result of `work`, or undefined if it fails or the case has failed before. */
  async function attempt<R>(state: CaseState, work: () => Promise<R>): Promise<R | undefined> {
    if (state.failure !== undefined) return undefined
    try {
      return await work()
    } catch (error) {
      state.failure = (error as Error).message
      log(`${state.benchCase.name} FAILED: ${state.failure}`)
      return undefined
    }
  }

  log('each case alone')
  for (const state of states) {
    const { warmUpSeconds: ownSeconds = warmUpSeconds } = state.benchCase
    if (ownSeconds === 0) continue
    await attempt(state, () => runAlone(state.benchCase, ownSeconds))
    state.alone = await attempt(state, () => runAlone(state.benchCase, aloneSeconds))
  }
  for (let round = 1; round <= rounds; round++) {
    log(`round ${round} of ${rounds}`)
    const running: [CaseState, Run][] = []
    for (const state of states) {
      const run = await attempt(state, () => state.benchCase.start((turns * TURN_MS) / 1000 + TOLERANCE_SECONDS))
      if (run === undefined) continue
      running.push([state, run])
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
    for (const [state, run] of running) {
      run.resume()
      await delay(TURN_MS)
      const measurement = await attempt(state, () => run.end())
      if (measurement !== undefined) state.measurements.push(measurement)
    }
  }
  return new Map(states.map(({ benchCase, ...outcome }) => [benchCase.name, outcome]))
}

/** Runs a case for `seconds` seconds without pauses. */
export async function runAlone(benchCase: Case, seconds: number): Promise<Measurement> {
  const run = await benchCase.start(seconds + TOLERANCE_SECONDS)
  await delay(seconds * 1000)
  return run.end()
}

/**
 * Returns the CPU per request of a case: the median of the rounds. For several cases it is the median of their mean.
 */
export function cpuOf(outcomes: Outcomes, names: readonly string[]): number {
  return median(acrossRounds(outcomes, names, mean))
}

/** Computes a value from the CPU of several cases, once per round. */
export function acrossRounds(
  outcomes: Outcomes,
  names: readonly string[],
  compute: (cpuUs: readonly number[]) => number,
): number[] {
  const series = names.map(name => (outcomes.get(name)?.measurements ?? []).map(({ cpuUs }) => cpuUs))
  const rounds = Math.min(...series.map(({ length }) => length))
  return Array.from({ length: rounds }, (_, at) => compute(series.map(values => values[at] as number)))
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Returns the median, or NaN for no values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Returns a quantile by linear interpolation, or NaN for no values. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * fraction
  const [below = Number.NaN, above = below] = sorted.slice(Math.floor(at))
  return below + (above - below) * (at % 1)
}
