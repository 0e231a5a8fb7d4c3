import type { UserServiceServer } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { userNotFound } from '../errors.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import type { AccountAccess } from './account-access.ts'
import { toUser, toVisibleUser } from './user-message.ts'
import { createUserLoader, type UserRepository, type UserRow } from './user-repository.ts'

export interface UserHandlersDependencies {
  users: Pick<UserRepository, 'find' | 'findAll' | 'update' | 'page'>
  access: AccountAccess
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 50

/** `user.v1.UserService`. */
export function createUserHandlers(dependencies: UserHandlersDependencies): Handlers<UserServiceServer> {
  const { users, access, pageTokens } = dependencies

  return {
    async getMe(_request, call) {
      return toUser(existing(await users.find(userOf(call).userId)))
    },
    async updateMe({ name }, call) {
      return toUser(existing(await users.update(userOf(call).userId, { name })))
    },
    async deleteMe(_request, call) {
      const { userId } = userOf(call)
      await access.deactivate(userId, userId)
      return {}
    },
    async getUser({ id }, call) {
      return toVisibleUser(existing(await users.find(id)), userOf(call))
    },
    async batchGetUsers({ ids }, call) {
      const viewer = userOf(call)
      const loader = createUserLoader(users)
      const found = await Promise.all([...new Set(ids.map(id => id.toLowerCase()))].map(id => loader.load(id)))
      return { users: found.filter(user => user !== undefined).map(user => toVisibleUser(user, viewer)) }
    },
    async listUsers({ pageSize, pageToken }) {
      const { rows, nextPageToken } = await servePage(pageTokens, 'users', pageToken, after =>
        users.page(pageSize || DEFAULT_PAGE_SIZE, after),
      )
      return { users: rows.map(toUser), nextPageToken }
    },
    async deleteUser({ id }, call) {
      await access.deactivate(id, userOf(call).userId)
      return {}
    },
    async updateUserAccess({ id, role, department }) {
      // Request validation admits no other value.
      return toUser(await access.change(id, { role: role as Role | undefined, department }))
    },
  }
}

/** @throws StatusError NOT_FOUND if the account does not exist or is deactivated. */
function existing(user: UserRow | undefined): UserRow {
  if (user === undefined) throw userNotFound()
  return user
}
