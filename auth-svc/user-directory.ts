/** user-svc as auth-svc sees it. */
import type { AccountChange, AccountServiceClient } from '#proto/user/v1/account.ts'
import type { User } from '#proto/user/v1/user.ts'
import { callServerStream, callUnary } from '#runtime/grpc-client.ts'
import type { Role } from '#runtime/principal.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { usersUnavailable } from './errors.ts'

export interface UserDirectory {
  /**
   * The same id again answers the user that is there.
   * @throws StatusError ALREADY_EXISTS `email_taken`, FAILED_PRECONDITION `account_closed`, UNAVAILABLE.
   */
  create(user: { id: string; email: string; name: string; role: Role }): Promise<User>
  /** Undefined when the account was closed. @throws StatusError UNAVAILABLE. */
  find(userId: string): Promise<User | undefined>
  /** Changes after `sequence`, and then those that come, until the signal. */
  changes(sequence: bigint, signal: AbortSignal): AsyncIterable<AccountChange>
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
        throw toAnswer(error, [Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION])
      }
    },
    async find(id) {
      try {
        return await callUnary(client, client.getAccount, { id }, { token: token() })
      } catch (error) {
        if (error instanceof StatusError && error.code === Code.NOT_FOUND) return undefined
        throw toAnswer(error, [])
      }
    },
    changes: (afterSequence, signal) =>
      callServerStream(client, client.watchAccountChanges, { afterSequence }, { token: token(), signal }),
  }
}

/** An error that is an answer goes on to our caller; of any other it must not hear, such as of user-svc's address. */
function toAnswer(error: unknown, answers: readonly Code[]): unknown {
  if (!(error instanceof StatusError)) return error
  if (!answers.includes(error.code)) return usersUnavailable(error)
  return new StatusError(error.code, error.message, { reason: error.reason, violations: error.violations })
}
