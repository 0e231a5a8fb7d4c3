/** The rows of the budgets that are about the gateway's CPU. */
import type { EdgeSample } from './edge-case.ts'
import { median, type Outcome } from './rounds.ts'
import type { Row } from './table.ts'

type Outcomes = ReadonlyMap<string, Outcome<EdgeSample>>

export function edgeRows(outcomes: Outcomes): Row[] {
  return [
    reference('floor: Fastify, a fixed answer', 'floor'),
    budget('transcoding only, public method', 'transcoding', 2),
    budget('full edge', 'full edge', 3),
    reference('Express gateway (HS256; no revocation, traces, metrics or log)', 'express'),
  ]

  function reference(name: string, key: string): Row {
    return { ...measured(name, key), budget: '', verdict: '' }
  }

  /** @param most times the floor. */
  function budget(name: string, key: string, most: number): Row {
    const ratio = ratioOf(outcomes, key, 'floor')
    return { ...measured(name, key), budget: `<= ${most} x floor`, verdict: verdictOf(ratio <= most, ratio, key) }
  }

  function measured(name: string, key: string): Omit<Row, 'budget' | 'verdict'> {
    const { samples = [] } = outcomes.get(key) ?? {}
    const of = (pick: (sample: EdgeSample) => number) => median(samples.map(pick))
    const ratio = ratioOf(outcomes, key, 'floor')
    const cpu = of(({ cpuUs }) => cpuUs)
    return {
      name,
      figure: `${cpu.toFixed(1)} us CPU, ${of(({ rate }) => rate).toFixed(0)}/s, p99 ${of(({ p99Ms }) => p99Ms).toFixed(1)} ms, core ${(of(({ busy }) => busy) * 100).toFixed(0)} % busy`,
      ratio: `${ratio.toFixed(2)} x floor`,
    }
  }

  function verdictOf(isMet: boolean, figure: number, key: string): Row['verdict'] {
    if (outcomes.get(key)?.failure !== undefined) return 'FAILED'
    if (Number.isNaN(figure)) return 'not measured'
    return isMet ? 'pass' : 'MISS'
  }
}

/** Median over the rounds of one case's CPU by another's. */
function ratioOf(outcomes: Outcomes, key: string, to: string): number {
  const others = outcomes.get(to)?.samples ?? []
  const samples = outcomes.get(key)?.samples ?? []
  const rounds = Math.min(samples.length, others.length)
  return median(
    Array.from({ length: rounds }, (_, at) => (samples[at] as EdgeSample).cpuUs / (others[at] as EdgeSample).cpuUs),
  )
}
