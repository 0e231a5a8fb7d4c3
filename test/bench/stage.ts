import type { Case, Outcomes } from './rounds.ts'
import type { Row } from './table.ts'

/** A part of the bench: running servers, the cases that are measured in turn, and the rows of the table. */
export interface Stage {
  readonly cases: readonly Case[]
  /** Returns the rows, from the outcomes of all cases and from measurements that follow them. */
  rows(outcomes: Outcomes): Promise<Row[]>
  stop(): Promise<void>
}
