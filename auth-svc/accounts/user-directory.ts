/** user-svc as auth-svc sees it. */
import type { AccountChange, AccountServiceClient } from '#proto/user/v1/account.ts'
import type { User } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { callServerStream, callUnary } from '#runtime/grpc/client.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { emailTaken, usersUnavailable } from '../errors.ts'

export interface UserDirectory {
  /**
   * The same id again answers the user that is there, or undefined when the account was closed.
   * @throws StatusError ALREADY_EXISTS `email_taken`, UNAVAILABLE.
   */
  create(user: { id: string; email: string; name: string; role: Role }): Promise<User | undefined>
  /** Undefined when the account was closed. @throws StatusError UNAVAILABLE. */
  find(userId: string): Promise<User | undefined>
  /** Changes after `sequence`, and then those that come, until the signal. */
  changes(sequence: bigint, signal: AbortSignal): AsyncIterable<AccountChange>
  /** Does nothing when user-svc knows of no erasure, as after a backup was played back. @throws StatusError UNAVAILABLE. */
  confirmErasure(userId: string): Promise<void>
}

export interface UserDirectoryOptions {
  client: AccountServiceClient
  /** Of the service. */
  token: () => string
}

export function createUserDirectory({ client, token }: UserDirectoryOptions): UserDirectory {
  return {
    async create(user) {
      try {
        return await callUnary(client, client.createAccount, user, { token: token() })
      } catch (error) {
        if (isAnswer(error, Code.FAILED_PRECONDITION)) return undefined
        if (isAnswer(error, Code.ALREADY_EXISTS)) throw emailTaken()
        throw usersUnavailable(error)
      }
    },
    async find(id) {
      try {
        return await callUnary(client, client.getAccount, { id }, { token: token() })
      } catch (error) {
        if (isAnswer(error, Code.NOT_FOUND)) return undefined
        throw usersUnavailable(error)
      }
    },
    changes: (afterSequence, signal) =>
      callServerStream(client, client.watchAccountChanges, { afterSequence }, { token: token(), signal }),
    async confirmErasure(userId) {
      try {
        await callUnary(client, client.confirmErasure, { userId }, { token: token() })
      } catch (error) {
        if (!isAnswer(error, Code.NOT_FOUND)) throw usersUnavailable(error)
      }
    },
  }
}

/** Any other error says nothing about the user, and what it says of user-svc is not for our caller to read. */
function isAnswer(error: unknown, code: Code): boolean {
  return error instanceof StatusError && error.code === code
}
