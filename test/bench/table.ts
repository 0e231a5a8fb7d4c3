/** The outcome as a table of Markdown, to be pasted as it is. */
import { acrossRounds, cpuOf, mean, median, type Outcomes, quantile } from './rounds.ts'

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

/** A case beside another. Either may be several alike, processes of one program: then it is their mean in each round. */
interface Comparison {
  readonly name: string
  readonly keys: readonly string[]
  readonly against: readonly string[]
  /** What `against` is called in the table; its first name unless given. */
  readonly label?: string
}

/** A case as it went, without a budget. */
export function referenceRow(outcomes: Outcomes, comparison: Comparison): Row {
  const hasFailed = comparison.keys.some(key => outcomes.get(key)?.failure !== undefined)
  return { ...cpuColumns(outcomes, comparison), budget: '', verdict: hasFailed ? 'FAILED' : '' }
}

/** A case whose CPU may be at most so many times another's. */
export function ratioRow(outcomes: Outcomes, { most, ...comparison }: Comparison & { readonly most: number }): Row {
  const { keys, against } = comparison
  return {
    ...cpuColumns(outcomes, comparison),
    budget: `<= ${most} x ${labelOf(comparison)}`,
    verdict: budgetVerdict(outcomes, [...keys, ...against], median(ratiosOf(outcomes, comparison)), most),
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

function cpuColumns(outcomes: Outcomes, comparison: Comparison): Pick<Row, 'name' | 'figure' | 'ratio'> {
  const { name, keys, against } = comparison
  const [first = ''] = keys
  const { rate, p99Ms } = outcomes.get(first)?.alone ?? {}
  const parts = [`${cpuOf(outcomes, keys).toFixed(1)} us CPU`]
  if (rate !== undefined) parts.push(`${rate.toFixed(0)}/s`)
  if (p99Ms !== undefined) parts.push(`p99 ${p99Ms.toFixed(1)} ms`)
  const isItself = against.includes(first)
  const ratio = isItself ? '' : `${ratioText(ratiosOf(outcomes, comparison))} x ${labelOf(comparison)}`
  return { name, figure: parts.join(', '), ratio }
}

/** The median, and in brackets where the middle half lies. */
function ratioText(ratios: readonly number[]): string {
  const [low, middle, high] = [0.25, 0.5, 0.75].map(fraction => quantile(ratios, fraction).toFixed(2))
  return `${middle} (${low} to ${high})`
}

function ratiosOf(outcomes: Outcomes, { keys, against }: Comparison): number[] {
  return acrossRounds(
    outcomes,
    [...keys, ...against],
    cpuUs => mean(cpuUs.slice(0, keys.length)) / mean(cpuUs.slice(keys.length)),
  )
}

function labelOf({ against: [first = ''], label = first }: Comparison): string {
  return label
}
