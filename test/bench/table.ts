/** The outcome as a table of Markdown, to be pasted as it is. */
import { cpuOf, medianAcross, type Outcomes } from './rounds.ts'

export interface Row {
  readonly name: string
  /** With its unit. */
  readonly figure: string
  /** Against what the budget is stated in; empty where there is none. */
  readonly ratio: string
  /** Empty for what is only shown for comparison. */
  readonly budget: string
  readonly verdict: 'pass' | 'MISS' | 'FAILED' | 'not measured' | ''
}

const COLUMNS = ['name', 'figure', 'ratio', 'budget', 'verdict'] as const
const HEADINGS = { name: 'row', figure: 'measured', ratio: 'ratio', budget: 'budget', verdict: '' }

export function toMarkdown(rows: readonly Row[]): string {
  const all: Record<(typeof COLUMNS)[number], string>[] = [HEADINGS, ...rows]
  const width = (column: (typeof COLUMNS)[number]) => Math.max(3, ...all.map(row => row[column].length))
  const line = (row: Record<(typeof COLUMNS)[number], string>) =>
    `| ${COLUMNS.map(column => row[column].padEnd(width(column))).join(' | ')} |`
  const rule = `| ${COLUMNS.map(column => '-'.repeat(width(column))).join(' | ')} |`
  return [line(HEADINGS), rule, ...rows.map(line)].join('\n')
}

/** A case as it went, without a budget. @param against whose CPU its own is a multiple of. */
export function referenceRow(outcomes: Outcomes, name: string, key: string, against: string): Row {
  const failure = outcomes.get(key)?.failure
  return { ...cpuColumns(outcomes, name, key, against), budget: '', verdict: failure === undefined ? '' : 'FAILED' }
}

interface RatioRow {
  readonly name: string
  readonly key: string
  readonly against: string
  readonly most: number
  /** What `against` is called in the table. */
  readonly label?: string
}

/** A case whose CPU may be at most so many times another's. */
export function ratioRow(outcomes: Outcomes, { name, key, against, most, label = against }: RatioRow): Row {
  const ratio = medianAcross(outcomes, [key, against], (cpu, other) => cpu / other)
  return {
    ...cpuColumns(outcomes, name, key, against, label),
    budget: `<= ${most} x ${label}`,
    verdict: budgetVerdict(outcomes, [key, against], ratio, most),
  }
}

/** @param keys the cases that the figure comes from: it fails with them. */
export function budgetVerdict(
  outcomes: Outcomes,
  keys: readonly string[],
  figure: number,
  most: number,
): Row['verdict'] {
  if (keys.some(key => outcomes.get(key)?.failure !== undefined)) return 'FAILED'
  if (Number.isNaN(figure)) return 'not measured'
  return figure <= most ? 'pass' : 'MISS'
}

function cpuColumns(
  outcomes: Outcomes,
  name: string,
  key: string,
  against: string,
  label = against,
): Pick<Row, 'name' | 'figure' | 'ratio'> {
  const ratio = medianAcross(outcomes, [key, against], (cpu, other) => cpu / other)
  const { rate, p99Ms } = outcomes.get(key)?.alone ?? {}
  const parts = [`${cpuOf(outcomes, key).toFixed(1)} us CPU`]
  if (rate !== undefined) parts.push(`${rate.toFixed(0)}/s`)
  if (p99Ms !== undefined) parts.push(`p99 ${p99Ms.toFixed(1)} ms`)
  return { name, figure: parts.join(', '), ratio: key === against ? '' : `${ratio.toFixed(2)} x ${label}` }
}
