/**
 * The access tokens that are no longer good, in memory: looked at on each request, without asking anybody.
 */
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/principal.ts'

export interface RevocationSet {
  add(revocation: Revocation): void
  has(principal: UserPrincipal): boolean
  readonly size: number
}

/**
 * All times in milliseconds since the epoch. Nothing is ever un-revoked: an entry goes when the last token that it
 * concerns has expired, and not before.
 */
export function createRevocationSet(now: () => number = Date.now): RevocationSet {
  const sessions = new Map<string, number>()
  const tokens = new Map<string, number>()
  const users = new Map<string, { notAfter: number; expiresAt: number }>()
  let sweepAt = 0

  function add({ target, notAfter, expiresAt: expiry }: Revocation): void {
    const expiresAt = expiry?.getTime() ?? Number.POSITIVE_INFINITY
    if (target?.$case === 'sessionId') sessions.set(target.value, expiresAt)
    else if (target?.$case === 'tokenId') tokens.set(target.value, expiresAt)
    else if (target?.$case === 'userId') {
      const known = users.get(target.value)
      const revokedUntil = Math.max(notAfter?.getTime() ?? 0, known?.notAfter ?? 0)
      users.set(target.value, { notAfter: revokedUntil, expiresAt: Math.max(expiresAt, known?.expiresAt ?? 0) })
    }
    if (now() >= sweepAt) sweep()
  }

  // Once a minute at the most, so that the cost of an entry does not grow with their number.
  function sweep(): void {
    const time = now()
    sweepAt = time + 60_000
    for (const [id, expiresAt] of sessions) if (expiresAt <= time) sessions.delete(id)
    for (const [id, expiresAt] of tokens) if (expiresAt <= time) tokens.delete(id)
    for (const [id, { expiresAt }] of users) if (expiresAt <= time) users.delete(id)
  }

  return {
    add,
    has({ userId, sessionId, tokenId, issuedAt }) {
      if (sessions.has(sessionId) || tokens.has(tokenId)) return true
      const user = users.get(userId)
      return user !== undefined && issuedAt <= user.notAfter
    },
    get size() {
      return sessions.size + tokens.size + users.size
    },
  }
}
