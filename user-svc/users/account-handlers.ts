import type { AccountServiceServer } from '#proto/user/v1/account.ts'
import type { Role } from '#runtime/auth/principal.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { accountDeactivated, emailTaken, userNotFound } from '../errors.ts'
import type { AccountChanges } from './account-changes.ts'
import { toUser } from './user-message.ts'
import type { UserRepository } from './user-repository.ts'

export interface AccountHandlersDependencies {
  users: Pick<UserRepository, 'find' | 'insert' | 'isIdUsed'>
  changes: AccountChanges
  /** Implemented by privacy/erasure.ts. */
  erasure: {
    /** @throws StatusError NOT_FOUND. */
    confirm(userId: string): Promise<void>
  }
}

/** `user.v1.AccountService`, which auth-svc calls. */
export function createAccountHandlers(dependencies: AccountHandlersDependencies): Handlers<AccountServiceServer> {
  const { users, changes, erasure } = dependencies

  return {
    async createAccount({ id, email, name, role }) {
      // Request validation admits no other value.
      const created = await users.insert({ id, email, name, role: (role || 'user') as Role })
      // A repeated request returns the account that the first request created.
      const user = created ?? (await users.find(id))
      if (user !== undefined) return toUser(user)
      throw (await users.isIdUsed(id)) ? accountDeactivated() : emailTaken()
    },
    async getAccount({ id }) {
      const user = await users.find(id)
      if (user === undefined) throw userNotFound()
      return toUser(user)
    },
    async *watchAccountChanges({ afterSequence }, { signal }) {
      for await (const change of changes.follow(afterSequence, signal)) {
        const { sequence, user_id: userId, role, closed, erased, changed_at: changedAt } = change
        yield { sequence, userId, role, closed, erased, changedAt }
      }
    },
    async confirmErasure({ userId }) {
      await erasure.confirm(userId)
      return {}
    },
  }
}
