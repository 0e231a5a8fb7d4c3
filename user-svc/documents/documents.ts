/**
 * Operations on documents. Each statement checks access itself; only if it affects no row, a second statement finds the
 * reason for the error. A document that the caller may not read is reported as not found.
 */
import type { Kysely } from 'kysely'
import { invalidArgument, type StatusError } from '#runtime/status.ts'
import { concurrentChange, documentForbidden, documentNotFound, etagMismatch, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import type { UserRepository } from '../users/user-repository.ts'
import type { Caller, DocumentAction } from './access-rules.ts'
import { changesReaders } from './document-changes.ts'
import {
  createDocumentRepository,
  type DocumentChanges,
  type DocumentRepository,
  type DocumentRow,
  type NewDocument,
} from './document-repository.ts'

/** Versions that If-Match accepts; undefined accepts all. */
type Versions = readonly number[] | undefined

/** `caller` is undefined for anonymous calls. */
export interface Documents {
  /** @throws StatusError NOT_FOUND. */
  find(id: string, caller: Caller | undefined): Promise<DocumentRow>
  /**
   * An empty `department` is the department of the owner.
   * @throws StatusError INVALID_ARGUMENT on `department`, NOT_FOUND if the owner is not an active user.
   */
  create(document: Omit<NewDocument, 'owner_id'>, owner: Caller): Promise<DocumentRow>
  /**
   * Requires the `share` action to change visibility or department, else `update`.
   * @throws StatusError INVALID_ARGUMENT on `document.department`, NOT_FOUND, PERMISSION_DENIED, ABORTED
   *   `etag_mismatch` if the document has none of `versions`.
   */
  update(id: string, changes: DocumentChanges, caller: Caller, versions: Versions): Promise<DocumentRow>
  /** @throws StatusError NOT_FOUND, PERMISSION_DENIED, ABORTED `etag_mismatch`. */
  delete(id: string, caller: Caller, versions: Versions): Promise<void>
  /** @throws StatusError NOT_FOUND, PERMISSION_DENIED. */
  assertAllowed(action: DocumentAction, id: string, caller: Caller | undefined): Promise<void>
}

export interface DocumentsDependencies {
  db: Kysely<Tables>
  documents: Pick<DocumentRepository, 'find' | 'insert' | 'update' | 'checkAccess'>
  users: Pick<UserRepository, 'find'>
}

export function createDocuments({ db, documents, users }: DocumentsDependencies): Documents {
  async function departmentOf(caller: Caller): Promise<string> {
    const user = await users.find(caller.userId)
    if (user === undefined) throw userNotFound()
    return user.department
  }

  async function errorFor(
    action: DocumentAction,
    id: string,
    caller: Caller | undefined,
    versions?: Versions,
  ): Promise<StatusError> {
    const access = await documents.checkAccess(id, action, caller)
    if (access === undefined) return documentNotFound()
    if (!access.isAllowed) return documentForbidden()
    return versions?.includes(access.version) === false ? etagMismatch() : concurrentChange()
  }

  /** Only administrators may assign a document to a department other than their own. */
  async function assertDepartment(id: string, department: string, caller: Caller): Promise<void> {
    if (caller.role === 'admin' || department === (await departmentOf(caller))) return
    const document = await documents.find(id, caller)
    if (document === undefined) throw documentNotFound()
    if (document.department !== department) throw foreignDepartment('document.department')
  }

  return {
    async find(id, caller) {
      const document = await documents.find(id, caller)
      if (document === undefined) throw documentNotFound()
      return document
    },
    async create(document, owner) {
      const ownDepartment = await departmentOf(owner)
      const department = document.department || ownDepartment
      if (department !== ownDepartment && owner.role !== 'admin') throw foreignDepartment('department')
      return withDepartmentError('department', () =>
        documents.insert({ ...document, department, owner_id: owner.userId }),
      )
    },
    async update(id, changes, caller, versions) {
      const action = changesReaders(changes) ? 'share' : 'update'
      if (changes.department) await assertDepartment(id, changes.department, caller)
      const document = await withDepartmentError('document.department', () =>
        documents.update(id, changes, action, caller, versions),
      )
      if (document === undefined) throw await errorFor(action, id, caller, versions)
      return document
    },
    async delete(id, caller, versions) {
      const isDeleted = await db
        .transaction()
        .execute(transaction => createDocumentRepository(transaction).delete(id, caller, versions))
      if (!isDeleted) throw await errorFor('delete', id, caller, versions)
    },
    async assertAllowed(action, id, caller) {
      const access = await documents.checkAccess(id, action, caller)
      if (access === undefined) throw documentNotFound()
      if (!access.isAllowed) throw documentForbidden()
    },
  }
}

const foreignDepartment = (field: string) =>
  invalidArgument([{ field, description: 'must be your own department; only administrators may assign another one' }])

/** Maps a violation of the constraint that a document with visibility `department` has a department. */
async function withDepartmentError<R>(field: string, work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    if ((error as { constraint?: string }).constraint !== 'documents_department_named') throw error
    throw invalidArgument([{ field, description: 'must not be empty if the visibility is "department"' }])
  }
}
