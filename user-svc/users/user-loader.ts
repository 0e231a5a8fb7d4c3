/**
 * Users by id, for one call: whoever asks for one, in whatever part of the call, shares one statement with all who ask in
 * the same turn, and nobody is read twice.
 */
import DataLoader from 'dataloader'
import type { UserRepository, UserRow } from './user-repository.ts'

export type UserLoader = DataLoader<string, UserRow | undefined>

export function createUserLoader(users: Pick<UserRepository, 'findAll'>): UserLoader {
  return new DataLoader(async ids => {
    const found = new Map((await users.findAll(ids)).map(user => [user.id, user]))
    return ids.map(id => found.get(id))
  })
}
