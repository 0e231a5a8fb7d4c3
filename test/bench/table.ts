/** The outcome as a table of Markdown, to be pasted as it is. */
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
