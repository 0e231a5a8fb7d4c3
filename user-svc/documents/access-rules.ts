/**
 * Who may do what with a document, as data: how somebody can stand to a document, and what each of these relations
 * allows. PostgreSQL decides, for a list and for a single document by the same conditions, so that a page has as many
 * documents as it says and no document is found one way and not the other. document-access.ts makes statements of this.
 */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { Tables } from '../tables.ts'
import type { Caller } from '../users/caller.ts'

export type DocumentAction = 'read' | 'comment' | 'update' | 'delete' | 'share' | 'moderate'

/** `caller` is undefined for nobody. */
export interface Relation {
  /** Whether it can hold at all: a condition that cannot is left out of the statement. */
  readonly isOpenTo: (caller: Caller | undefined) => boolean
  /** The condition on a row of `documents`. Each has an index that finds its documents; see migrations/. */
  readonly holds: (row: ExpressionBuilder<Tables, 'documents'>, caller: Caller | undefined) => Expression<SqlBool>
  readonly allows: readonly DocumentAction[]
}

const isSignedIn = (caller: Caller | undefined) => caller !== undefined
const has = (role: Role) => (caller: Caller | undefined) => caller?.role === role

/** Without a department nobody is a colleague. Read once a statement, not once a row. */
const departmentOf = (caller: Caller | undefined) =>
  sql<string>`(select nullif(department, '') from users where id = ${caller?.userId})`

const isGranted = (
  row: ExpressionBuilder<Tables, 'documents'>,
  caller: Caller | undefined,
  access: 'read' | 'write',
): Expression<SqlBool> =>
  row.exists(
    row
      .selectFrom('document_grants')
      .select('document_grants.user_id')
      .whereRef('document_grants.document_id', '=', 'documents.id')
      .where('document_grants.user_id', '=', caller?.userId ?? null)
      .where('document_grants.access', '=', access),
  )

/** In the order in which they are asked: the cheap ones first. */
export const RELATIONS: Readonly<Record<string, Relation>> = {
  administrator: {
    isOpenTo: has('admin'),
    holds: () => sql<boolean>`true`,
    allows: ['read', 'comment', 'update', 'delete', 'share', 'moderate'],
  },
  owner: {
    isOpenTo: isSignedIn,
    holds: (row, caller) => row('documents.owner_id', '=', caller?.userId ?? ''),
    allows: ['read', 'comment', 'update', 'delete', 'share', 'moderate'],
  },
  /** Who may comment is signed in, which the contract's policy sees to. */
  public: {
    isOpenTo: () => true,
    holds: row => row('documents.visibility', '=', sql.lit('public')),
    allows: ['read', 'comment'],
  },
  moderator: {
    isOpenTo: has('moderator'),
    holds: row => row('documents.visibility', '=', sql.lit('public')),
    allows: ['moderate'],
  },
  colleague: {
    isOpenTo: isSignedIn,
    holds: (row, caller) =>
      row.and([
        row('documents.visibility', '=', sql.lit('department')),
        row('documents.department', '=', departmentOf(caller)),
      ]),
    allows: ['read', 'comment'],
  },
  /** An editor of the document's department, unless the document is private. */
  editor: {
    isOpenTo: has('editor'),
    holds: (row, caller) =>
      row.and([
        row('documents.visibility', '<>', sql.lit('private')),
        row('documents.department', '=', departmentOf(caller)),
      ]),
    allows: ['read', 'comment', 'update'],
  },
  grantedRead: {
    isOpenTo: isSignedIn,
    holds: (row, caller) => isGranted(row, caller, 'read'),
    allows: ['read', 'comment'],
  },
  grantedWrite: {
    isOpenTo: isSignedIn,
    holds: (row, caller) => isGranted(row, caller, 'write'),
    allows: ['read', 'comment', 'update'],
  },
}
