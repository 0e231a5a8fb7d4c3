import type { Case, Outcomes } from './rounds.ts'
import type { Row } from './table.ts'

/** A part of the bench: its servers run, its cases wait for their turn, and its rows follow from what all cases gave. */
export interface Stage {
  readonly cases: readonly Case[]
  rows(outcomes: Outcomes): Row[]
  stop(): Promise<void>
}
