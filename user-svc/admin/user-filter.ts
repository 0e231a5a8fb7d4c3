/** Which users an administrator means. */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { Tables } from '../tables.ts'

/** Who meets all that is set. */
export interface UserFilter {
  role?: Role | undefined
  department?: string | undefined
  emailPrefix?: string | undefined
  emailSuffix?: string | undefined
  createdSince?: Date | undefined
  createdBefore?: Date | undefined
  ids?: readonly string[] | undefined
}

export function isEmptyFilter(filter: UserFilter): boolean {
  return Object.values(filter).every(value => value === undefined)
}

export function meets<Table extends 'users' | 'users_all'>(filter: UserFilter) {
  const { role, department, emailPrefix, emailSuffix, createdSince, createdBefore, ids } = filter
  return (row: ExpressionBuilder<Tables, Table>): Expression<SqlBool> =>
    row.and([
      ...(role === undefined ? [] : [sql<boolean>`role = ${role}`]),
      ...(department === undefined ? [] : [sql<boolean>`department = ${department}`]),
      ...(emailPrefix === undefined ? [] : [sql<boolean>`email like ${`${escaped(emailPrefix)}%`}`]),
      ...(emailSuffix === undefined ? [] : [sql<boolean>`email like ${`%${escaped(emailSuffix)}`}`]),
      ...(createdSince === undefined ? [] : [sql<boolean>`created_at >= ${createdSince}`]),
      ...(createdBefore === undefined ? [] : [sql<boolean>`created_at < ${createdBefore}`]),
      ...(ids === undefined ? [] : [sql<boolean>`id = any(${[...ids]}::uuid[])`]),
    ])
}

/** For LIKE, whose signs mean themselves then. */
function escaped(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
