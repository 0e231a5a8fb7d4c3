/** The results as a Markdown table. */
import { acrossRounds, cpuOf, mean, median, type Outcomes, quantile } from './rounds.ts'

export interface Row {
  readonly name: string
  /** Measured value with unit. */
  readonly figure: string
  /** Ratio to the case of the budget; may be empty. */
  readonly ratio: string
  /** The limit; empty for rows that are shown for comparison only. */
  readonly budget: string
  readonly verdict: 'pass' | 'MISS' | 'FAILED' | 'not measured' | ''
}

const COLUMNS = ['name', 'figure', 'ratio', 'budget', 'verdict'] as const
const HEADINGS = { name: 'row', figure: 'measured', ratio: 'ratio', budget: 'budget', verdict: '' }

/** Formats the rows as a table with aligned columns. */
export function toMarkdown(rows: readonly Row[]): string {
  const all: Record<(typeof COLUMNS)[number], string>[] = [HEADINGS, ...rows]
  const width = (column: (typeof COLUMNS)[number]) => Math.max(3, ...all.map(row => row[column].length))
  const line = (row: Record<(typeof COLUMNS)[number], string>) =>
    `| ${COLUMNS.map(column => row[column].padEnd(width(column))).join(' | ')} |`
  const rule = `| ${COLUMNS.map(column => '-'.repeat(width(column))).join(' | ')} |`
  return [line(HEADINGS), rule, ...rows.map(line)].join('\n')
}

/** A comparison of two cases. Each may be several processes of one program; the mean of a round is used then. */
interface Comparison {
  readonly name: string
  /** Names of the measured cases. */
  readonly keys: readonly string[]
  /** Names of the cases to compare with. */
  readonly against: readonly string[]
  /** Name of `against` in the table. Default: its first element. */
  readonly label?: string
}

/** Returns a row without a budget. */
export function referenceRow(outcomes: Outcomes, comparison: Comparison): Row {
  const hasFailed = comparison.keys.some(key => outcomes.get(key)?.failure !== undefined)
  return { ...cpuColumns(outcomes, comparison), budget: '', verdict: hasFailed ? 'FAILED' : '' }
}

/** Returns a row whose budget is a multiple of the CPU of another case. */
export function ratioRow(
  outcomes: Outcomes,
  { maxRatio, ...comparison }: Comparison & { readonly maxRatio: number },
): Row {
  const { keys, against } = comparison
  return {
    ...cpuColumns(outcomes, comparison),
    budget: `<= ${maxRatio} x ${labelOf(comparison)}`,
    verdict: budgetVerdict(outcomes, [...keys, ...against], median(ratiosOf(outcomes, comparison)), maxRatio),
  }
}

/**
 * Compares a value with its limit.
 * @param keys the cases of the value. The verdict is FAILED if one of them failed.
 */
export function budgetVerdict(
  outcomes: Outcomes,
  keys: readonly string[],
  figure: number,
  limit: number,
): Row['verdict'] {
  if (keys.some(key => outcomes.get(key)?.failure !== undefined)) return 'FAILED'
  if (Number.isNaN(figure)) return 'not measured'
  return figure <= limit ? 'pass' : 'MISS'
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

/** @returns the median, and the interquartile range in parentheses. */
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
