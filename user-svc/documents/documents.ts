/**
 * What may be done with documents, and what a refusal says. The statement that does it asks whether it may be done; only
 * when it found nothing is it asked why. A document that may not be read is answered like one that is not there.
 */
import type { Kysely } from 'kysely'
import { invalidArgument, type StatusError } from '#runtime/status.ts'
import { changedMeanwhile, documentForbidden, documentNotFound, etagMismatch, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import type { UserRepository } from '../users/user-repository.ts'
import type { DocumentAction } from './access-rules.ts'
import { changesReaders } from './document-changes.ts'
import {
  createDocumentRepository,
  type DocumentChanges,
  type DocumentRepository,
  type DocumentRow,
  type NewDocument,
} from './document-repository.ts'

type Versions = readonly number[] | undefined

export interface Documents {
  /** @throws StatusError NOT_FOUND */
  find(id: string, caller: Caller | undefined): Promise<DocumentRow>
  /** @throws StatusError INVALID_ARGUMENT on `department`, NOT_FOUND for an owner who was closed. */
  create(document: Omit<NewDocument, 'owner_id'>, owner: Caller): Promise<DocumentRow>
  /** @throws StatusError INVALID_ARGUMENT on `document.department`, NOT_FOUND, PERMISSION_DENIED, ABORTED. */
  update(id: string, changes: DocumentChanges, caller: Caller, versions: Versions): Promise<DocumentRow>
  /** @throws StatusError NOT_FOUND, PERMISSION_DENIED, ABORTED. */
  delete(id: string, caller: Caller, versions: Versions): Promise<void>
  /** @throws StatusError NOT_FOUND, PERMISSION_DENIED. */
  assertMay(action: DocumentAction, id: string, caller: Caller | undefined): Promise<void>
}

export interface DocumentsDependencies {
  db: Kysely<Tables>
  documents: DocumentRepository
  users: Pick<UserRepository, 'find'>
}

export function createDocuments({ db, documents, users }: DocumentsDependencies): Documents {
  async function departmentOf(caller: Caller): Promise<string> {
    const user = await users.find(caller.userId)
    if (user === undefined) throw userNotFound()
    return user.department
  }

  async function refusal(
    action: DocumentAction,
    id: string,
    caller: Caller | undefined,
    versions?: Versions,
  ): Promise<StatusError> {
    const standing = await documents.standing(id, action, caller)
    if (standing === undefined) return documentNotFound()
    if (!standing.isAllowed) return documentForbidden()
    return versions?.includes(standing.version) === false ? etagMismatch() : changedMeanwhile()
  }

  /** To another department than the own one nobody but an administrator gives a document. */
  async function assertDepartment(id: string, department: string, caller: Caller): Promise<void> {
    if (caller.role === 'admin' || department === (await departmentOf(caller))) return
    const document = await documents.find(id, caller)
    if (document === undefined) throw documentNotFound()
    if (document.department !== department) throw notYourDepartment('document.department')
  }

  return {
    async find(id, caller) {
      const document = await documents.find(id, caller)
      if (document === undefined) throw documentNotFound()
      return document
    },
    async create(document, owner) {
      const own = await departmentOf(owner)
      const department = document.department || own
      if (department !== own && owner.role !== 'admin') throw notYourDepartment('department')
      return withDepartment('department', () => documents.insert({ ...document, department, owner_id: owner.userId }))
    },
    async update(id, changes, caller, versions) {
      const action = changesReaders(changes) ? 'share' : 'update'
      if (changes.department) await assertDepartment(id, changes.department, caller)
      const document = await withDepartment('document.department', () =>
        documents.update(id, changes, action, caller, versions),
      )
      if (document === undefined) throw await refusal(action, id, caller, versions)
      return document
    },
    async delete(id, caller, versions) {
      const isDeleted = await db
        .transaction()
        .execute(transaction => createDocumentRepository(transaction).delete(id, caller, versions))
      if (!isDeleted) throw await refusal('delete', id, caller, versions)
    },
    async assertMay(action, id, caller) {
      const standing = await documents.standing(id, action, caller)
      if (standing === undefined) throw documentNotFound()
      if (!standing.isAllowed) throw documentForbidden()
    },
  }
}

const notYourDepartment = (field: string) =>
  invalidArgument([{ field, description: 'is not your department; only administrators name another one' }])

/** The database sees to it that a document for a department names one. */
async function withDepartment<R>(field: string, work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    if ((error as { constraint?: string }).constraint !== 'documents_department_named') throw error
    throw invalidArgument([{ field, description: 'is empty, and the document is for a department' }])
  }
}
