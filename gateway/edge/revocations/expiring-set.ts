/** Ids with expiry times, grouped by minute of expiry, so that `removeExpired` is bounded by its limit only. */
export interface ExpiringSet {
  /** Adding an id again can only extend its expiry. @param expiresAt milliseconds since the Unix epoch. */
  add(id: string, expiresAt: number): void
  has(id: string): boolean
  /** Checks at most `limit` ids. @param onRemove is called with each removed id. */
  removeExpired(limit: number, onRemove?: (id: string) => void): void
  readonly size: number
}

export interface Clocks {
  /** Milliseconds since the Unix epoch. It may be stepped forward or back. */
  readonly wall: () => number
  /** Milliseconds from an arbitrary origin. It never steps. */
  readonly monotonic: () => number
}

export const CLOCKS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

const MINUTE_MS = 60_000

/**
 * An id expires when the wall clock has reached its expiry time and it has been in the set for `minLifetimeMs`. The
 * wall clock alone does not suffice: it may be ahead when an id is added, and be stepped back after the id was removed.
 */
export function createExpiringSet({ wall, monotonic }: Clocks, minLifetimeMs: number): ExpiringSet {
  const entries = new Map<string, { readonly expiresAt: number; readonly keptUntil: number }>()
  /** Ids by the minute, of the monotonic clock, from which they may have expired. */
  const idsByMinute = new Map<number, string[]>()

  function schedule(id: string, ms: number): void {
    const minute = Math.ceil((monotonic() + ms) / MINUTE_MS)
    const ids = idsByMinute.get(minute)
    if (ids === undefined) idsByMinute.set(minute, [id])
    else ids.push(id)
  }

  function removeIfExpired(id: string, onRemove: ((id: string) => void) | undefined): void {
    const entry = entries.get(id)
    // An id that was added twice is scheduled twice; the first check may have removed it.
    if (entry === undefined) return
    const remainingMs = Math.max(entry.expiresAt - wall(), entry.keptUntil - monotonic())
    if (remainingMs > 0) schedule(id, remainingMs)
    else {
      entries.delete(id)
      onRemove?.(id)
    }
  }

  return {
    add(id, expiresAt) {
      const present = entries.get(id)
      if (present !== undefined && present.expiresAt >= expiresAt) return
      entries.set(id, { expiresAt, keptUntil: monotonic() + minLifetimeMs })
      schedule(id, Math.max(minLifetimeMs, expiresAt - wall()))
    },
    has: id => entries.has(id),
    removeExpired(limit, onRemove) {
      const now = monotonic()
      let remaining = limit
      for (const [minute, ids] of idsByMinute) {
        if (minute * MINUTE_MS > now) continue
        for (; remaining > 0 && ids.length > 0; remaining--) removeIfExpired(ids.pop() as string, onRemove)
        if (ids.length === 0) idsByMinute.delete(minute)
      }
    },
    get size() {
      return entries.size
    },
  }
}
