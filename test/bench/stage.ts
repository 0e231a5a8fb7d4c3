import type { Case, Outcomes } from './rounds.ts'
import type { Row } from './table.ts'

/** A part of the bench: its servers run, its cases are measured in turn, and its rows follow. */
export interface Stage {
  readonly cases: readonly Case[]
  /** From what all cases gave, and what is measured in another way after them. */
  rows(outcomes: Outcomes): Promise<Row[]>
  stop(): Promise<void>
}
