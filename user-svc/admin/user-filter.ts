/** The filter of user lists and bulk changes. */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { Tables } from '../tables.ts'

/** A user matches if all defined conditions hold. */
export interface UserFilter {
  role?: Role | undefined
  department?: string | undefined
  /** Case-sensitive, as is `emailSuffix`: stored addresses are normalized. */
  emailPrefix?: string | undefined
  emailSuffix?: string | undefined
  /** Inclusive. */
  createdSince?: Date | undefined
  /** Exclusive. */
  createdBefore?: Date | undefined
  ids?: readonly string[] | undefined
}

/** An empty filter matches all users. */
export function isEmptyFilter(filter: UserFilter): boolean {
  return Object.values(filter).every(value => value === undefined)
}

/** Condition on a row of `users` or `users_all`. */
export function matchesFilter<Table extends 'users' | 'users_all'>(filter: UserFilter) {
  const { role, department, emailPrefix, emailSuffix, createdSince, createdBefore, ids } = filter
  return (row: ExpressionBuilder<Tables, Table>): Expression<SqlBool> =>
    row.and([
      ...(role === undefined ? [] : [sql<boolean>`role = ${role}`]),
      ...(department === undefined ? [] : [sql<boolean>`department = ${department}`]),
      ...(emailPrefix === undefined ? [] : [sql<boolean>`email like ${`${escapeLike(emailPrefix)}%`}`]),
      ...(emailSuffix === undefined ? [] : [sql<boolean>`email like ${`%${escapeLike(emailSuffix)}`}`]),
      ...(createdSince === undefined ? [] : [sql<boolean>`created_at >= ${createdSince}`]),
      ...(createdBefore === undefined ? [] : [sql<boolean>`created_at < ${createdBefore}`]),
      ...(ids === undefined ? [] : [sql<boolean>`id = any(${[...ids]}::uuid[])`]),
    ])
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
