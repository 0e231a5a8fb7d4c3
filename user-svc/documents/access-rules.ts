/**
 * Access rules of documents: a table of the relations between a caller and a document, and the actions that each
 * relation allows. PostgreSQL evaluates the rules inside each statement. Lists and single reads use the same
 * conditions, so pages are always full, and a document that a list returns can also be read by id.
 */
import { type Expression, type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { type Call, userOf } from '#runtime/grpc/call.ts'
import type { Tables } from '../tables.ts'

/** The user who makes a call, with the role of the access token. The department is read from the database. */
export interface Caller {
  readonly userId: string
  readonly role: Role
}

/** The caller of a method that allows anonymous calls; undefined for an anonymous call. */
export function callerOf(call: Call): Caller | undefined {
  return call.principal === undefined ? undefined : userOf(call)
}

/** `share` covers grants, visibility and department; `moderate` covers deleting comments of other users. */
export type DocumentAction = 'read' | 'comment' | 'update' | 'delete' | 'share' | 'moderate'

type Document = ExpressionBuilder<Tables, 'documents'>
type Condition = (document: Document) => Expression<SqlBool>

/** A relation between a caller (undefined: anonymous) and a document. */
export interface Relation {
  /** False omits the condition from the statement. */
  readonly appliesTo: (caller: Caller | undefined) => boolean
  /** Condition on a row of `documents`. Each condition has an index that finds its documents; see migrations/. */
  readonly holds: (document: Document, caller: Caller | undefined) => Expression<SqlBool>
  readonly allows: readonly DocumentAction[]
}

const isAuthenticated = (caller: Caller | undefined) => caller !== undefined
const hasRole = (role: Role) => (caller: Caller | undefined) => caller?.role === role

/** NULL, which equals nothing, for a user without a department. Evaluated once per statement, not once per row. */
const departmentOf = (caller: Caller | undefined) =>
  sql<string>`(select nullif(department, '') from users where id = ${caller?.userId})`

const hasGrant = (document: Document, caller: Caller | undefined, access: 'read' | 'write'): Expression<SqlBool> =>
  document.exists(
    document
      .selectFrom('document_grants')
      .select('document_grants.user_id')
      .whereRef('document_grants.document_id', '=', 'documents.id')
      .where('document_grants.user_id', '=', caller?.userId ?? null)
      .where('document_grants.access', '=', access),
  )

/** In the order of evaluation: cheap conditions first. */
export const RELATIONS: Readonly<Record<string, Relation>> = {
  administrator: {
    appliesTo: hasRole('admin'),
    holds: () => sql<boolean>`true`,
    allows: ['read', 'comment', 'update', 'delete', 'share', 'moderate'],
  },
  owner: {
    appliesTo: isAuthenticated,
    holds: (document, caller) => document('documents.owner_id', '=', caller?.userId ?? ''),
    allows: ['read', 'comment', 'update', 'delete', 'share', 'moderate'],
  },
  /** The policy of the contract rejects anonymous comments. */
  public: {
    appliesTo: () => true,
    holds: document => document('documents.visibility', '=', sql.lit('public')),
    allows: ['read', 'comment'],
  },
  moderator: {
    appliesTo: hasRole('moderator'),
    holds: document => document('documents.visibility', '=', sql.lit('public')),
    allows: ['moderate'],
  },
  colleague: {
    appliesTo: isAuthenticated,
    holds: (document, caller) =>
      document.and([
        document('documents.visibility', '=', sql.lit('department')),
        document('documents.department', '=', departmentOf(caller)),
      ]),
    allows: ['read', 'comment'],
  },
  /** An editor of the document's department, unless the document is private. */
  editor: {
    appliesTo: hasRole('editor'),
    holds: (document, caller) =>
      document.and([
        document('documents.visibility', '<>', sql.lit('private')),
        document('documents.department', '=', departmentOf(caller)),
      ]),
    allows: ['read', 'comment', 'update'],
  },
  grantedRead: {
    appliesTo: isAuthenticated,
    holds: (document, caller) => hasGrant(document, caller, 'read'),
    allows: ['read', 'comment'],
  },
  grantedWrite: {
    appliesTo: isAuthenticated,
    holds: (document, caller) => hasGrant(document, caller, 'write'),
    allows: ['read', 'comment', 'update'],
  },
}

/** Condition on a row of `documents`. */
export function isAllowed(
  action: DocumentAction,
  caller: Caller | undefined,
): (document: Document) => ExpressionWrapper<Tables, 'documents', SqlBool> {
  const conditions = conditionsFor(action, caller)
  return document => document.or(conditions.map(holds => holds(document)))
}

/**
 * The conditions of which one must hold. A list reads a page for each, from its own index, and merges the pages: with a
 * single condition joined by `or`, PostgreSQL would scan all documents.
 */
export function conditionsFor(action: DocumentAction, caller: Caller | undefined): readonly Condition[] {
  return Object.values(RELATIONS)
    .filter(relation => relation.allows.includes(action) && relation.appliesTo(caller))
    .map(relation => document => relation.holds(document, caller))
}
