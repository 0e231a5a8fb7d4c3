/** Client of auth-svc for the sessions of a user. */
import type { SessionServiceClient } from '#proto/auth/v1/sessions.ts'
import type { SessionRecord } from '#proto/user/v1/session_record.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { sessionsUnavailable } from '../errors.ts'

export interface SessionDirectory {
  /**
   * Reads all sessions of a user, active or not, earliest first. Yields one page of at most 100 per call of auth-svc, and
   * calls it again once the page is consumed.
   * @param token access token of the user or of an administrator.
   * @throws StatusError UNAVAILABLE if auth-svc does not return the sessions, UNAUTHENTICATED if the token has expired.
   */
  pages(userId: string, token: string, signal: AbortSignal): AsyncGenerator<readonly SessionRecord[], void, void>
}

export function createSessionDirectory(client: SessionServiceClient): SessionDirectory {
  return {
    async *pages(userId, token, signal) {
      let pageToken = ''
      do {
        const page = await readPage(client, { userId, pageToken }, { token, signal })
        yield page.sessions
        pageToken = page.nextPageToken
      } while (pageToken !== '')
    },
  }
}

async function readPage(
  client: SessionServiceClient,
  request: { userId: string; pageToken: string },
  settings: { token: string; signal: AbortSignal },
) {
  try {
    return await callUnary(client, client.listUserSessions, request, settings)
  } catch (error) {
    if (error instanceof StatusError && PASSED.has(error.code)) throw error
    throw sessionsUnavailable(error)
  }
}

/** Codes of auth-svc that concern the caller of the export. All others are faults of the system. */
const PASSED: ReadonlySet<Code> = new Set([Code.UNAUTHENTICATED, Code.CANCELLED])
