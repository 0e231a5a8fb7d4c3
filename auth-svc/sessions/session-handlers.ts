import type { SessionServiceServer } from '#proto/auth/v1/sessions.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { sessionsForbidden } from '../errors.ts'
import type { Sessions } from './sessions.ts'

/** Implements `auth.v1.SessionService`. A page token is the id of the last session of the previous page. */
export function createSessionHandlers(sessions: Pick<Sessions, 'listStored'>): Handlers<SessionServiceServer> {
  return {
    async listUserSessions({ userId, pageToken }, call) {
      const { userId: callerId, role } = userOf(call)
      if (callerId !== userId.toLowerCase() && role !== 'admin') throw sessionsForbidden()
      const page = await sessions.listStored(userId, pageToken || undefined)
      return {
        sessions: page.sessions.map(({ endedAt, endReason, ...session }) => ({
          ...session,
          endedAt: endedAt ?? undefined,
          endReason: endReason ?? '',
        })),
        nextPageToken: page.next ?? '',
      }
    },
  }
}
