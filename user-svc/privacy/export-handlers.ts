import type { ExportRecord, ExportServiceServer } from '#proto/user/v1/export.ts'
import { type Call, type Handlers, userOf } from '#runtime/grpc/call.ts'
import { toComment, toDocument, toGrant } from '../documents/document-message.ts'
import { accountErased, userNotFound } from '../errors.ts'
import { toUser } from '../users/user-message.ts'
import type { StoredUserRow } from '../users/user-repository.ts'
import type { ExportRepository } from './export-repository.ts'
import type { SessionDirectory } from './session-directory.ts'

type Record = ExportRecord['record']

export interface ExportHandlersDependencies {
  exports: ExportRepository
  sessions: SessionDirectory
}

/** `user.v1.ExportService`: streams the user, then sessions, documents, comments and grants, including deleted ones. */
export function createExportHandlers(dependencies: ExportHandlersDependencies): Handlers<ExportServiceServer> {
  const { exports, sessions } = dependencies

  async function* recordsOf(user: StoredUserRow, call: Call): AsyncGenerator<ExportRecord, void, void> {
    const { token = '', signal } = call
    // Sessions come first: without auth-svc the export then fails before its first record, and the token, which auth-svc
    // verifies for each page, is still valid.
    const pages = sessions.pages(user.id, token, signal)
    let page = await pages.next()
    yield record({ $case: 'user', value: toUser(user) }, user.deleted_at)
    for (; !page.done; page = await pages.next()) {
      for (const session of page.value) yield record({ $case: 'session', value: session }, null)
    }
    for await (const row of exports.documents(user.id, signal)) {
      yield record({ $case: 'document', value: toDocument(row) }, row.deleted_at)
    }
    for await (const row of exports.comments(user.id, signal)) {
      yield record({ $case: 'comment', value: toComment(row, user.name) }, row.deleted_at)
    }
    for await (const row of exports.grants(user.id, signal)) yield record({ $case: 'grant', value: toGrant(row) }, null)
  }

  return {
    async *exportMe(_request, call) {
      const user = await exports.findUser(userOf(call).userId)
      if (user === undefined || user.deleted_at !== null) throw userNotFound()
      yield* recordsOf(user, call)
    },
    async *exportUser({ id }, call) {
      const user = await exports.findUser(id)
      if (user === undefined) throw userNotFound()
      if (user.erased_at !== null) throw accountErased()
      yield* recordsOf(user, call)
    },
  }
}

function record(value: Record, deletedAt: Date | null): ExportRecord {
  return { record: value, deletedAt: deletedAt ?? undefined }
}
