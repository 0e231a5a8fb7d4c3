import { User } from '#proto/user/v1/user.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import type { UserRow } from './user-repository.ts'

export function toUser(row: UserRow): User {
  const { id, email, name, role, department } = row
  return { id, email, name, role, department, createdAt: row.created_at, updatedAt: row.updated_at }
}

/** All fields for the user, moderators and administrators; else id, name and creation time. */
export function toVisibleUser(row: UserRow, viewer: UserPrincipal): User {
  const seesAll = viewer.userId === row.id || viewer.role === 'moderator' || viewer.role === 'admin'
  return seesAll ? toUser(row) : User.create({ id: row.id, name: row.name, createdAt: row.created_at })
}
