/** The access rules as conditions of statements. */
import type { Expression, ExpressionBuilder, ExpressionWrapper, SqlBool } from 'kysely'
import type { Tables } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import { type DocumentAction, RELATIONS } from './access-rules.ts'

type Row = ExpressionBuilder<Tables, 'documents'>

/** Whether the caller may do that with a row of `documents`. */
export function mayDo(
  action: DocumentAction,
  caller: Caller | undefined,
): (row: Row) => ExpressionWrapper<Tables, 'documents', SqlBool> {
  const ways = waysTo(action, caller)
  return row => row.or(ways.map(way => way(row)))
}

/**
 * The ways in which the caller may come to do that, each a condition by itself with an index of its own: a list asks for
 * a page of each way and keeps the first of all, where one condition with `or` would have to look at every row.
 */
export function waysTo(
  action: DocumentAction,
  caller: Caller | undefined,
): readonly ((row: Row) => Expression<SqlBool>)[] {
  return Object.values(RELATIONS)
    .filter(relation => relation.allows.includes(action) && relation.isOpenTo(caller))
    .map(relation => row => relation.holds(row, caller))
}
