/** Client of user-svc: the RPCs of `user.v1.AccountService`, with the errors that auth-svc reports. */
import type { AccountChange, AccountServiceClient } from '#proto/user/v1/account.ts'
import type { User } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { callServerStream, callUnary } from '#runtime/grpc/client.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { emailTaken, usersUnavailable } from '../errors.ts'

/** Methods reject with StatusError UNAVAILABLE for every error of user-svc that they do not document. */
export interface UserDirectory {
  /**
   * Idempotent: an existing user is returned unchanged.
   * @returns undefined if the user has been deactivated.
   * @throws StatusError ALREADY_EXISTS `email_taken` if another user has the e-mail address.
   */
  create(user: { id: string; email: string; name: string; role: Role }): Promise<User | undefined>
  /** @returns undefined if there is no active user with this id. */
  find(userId: string): Promise<User | undefined>
  /**
   * Streams the account changes after `sequence`, then new ones as they happen, until `signal` is aborted.
   * @throws StatusError with the code of user-svc if the stream fails.
   */
  watchChanges(sequence: bigint, signal: AbortSignal): AsyncIterable<AccountChange>
  /** Idempotent. Does nothing if user-svc has no such erasure, for example after a restored backup. */
  confirmErasure(userId: string): Promise<void>
}

export interface UserDirectoryOptions {
  client: AccountServiceClient
  /** Returns a valid service token. Called for each RPC. */
  token: () => string
}

export function createUserDirectory({ client, token }: UserDirectoryOptions): UserDirectory {
  return {
    async create(user) {
      try {
        return await callUnary(client, client.createAccount, user, { token: token() })
      } catch (error) {
        if (hasCode(error, Code.FAILED_PRECONDITION)) return undefined
        if (hasCode(error, Code.ALREADY_EXISTS)) throw emailTaken()
        throw usersUnavailable(error)
      }
    },
    async find(id) {
      try {
        return await callUnary(client, client.getAccount, { id }, { token: token() })
      } catch (error) {
        if (hasCode(error, Code.NOT_FOUND)) return undefined
        throw usersUnavailable(error)
      }
    },
    watchChanges: (afterSequence, signal) =>
      callServerStream(client, client.watchAccountChanges, { afterSequence }, { token: token(), signal }),
    async confirmErasure(userId) {
      try {
        await callUnary(client, client.confirmErasure, { userId }, { token: token() })
      } catch (error) {
        if (!hasCode(error, Code.NOT_FOUND)) throw usersUnavailable(error)
      }
    },
  }
}

function hasCode(error: unknown, code: Code): boolean {
  return error instanceof StatusError && error.code === code
}
