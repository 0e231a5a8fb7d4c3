/**
 * Ids that are kept until a time of each, filed by the minute in which they may go: forgetting some costs the same
 * however many there are.
 */
export interface ExpiringSet {
  /** Until the later of the times that an id was put in with, in milliseconds since the epoch. */
  put(id: string, expiresAt: number): void
  has(id: string): boolean
  /** Forgets what may go, looking at `limit` ids at the most. */
  forgetExpired(limit: number, onForget?: (id: string) => void): void
  readonly size: number
}

/** In milliseconds. */
export interface Clocks {
  readonly wall: () => number
  readonly monotonic: () => number
}

export const CLOCKS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

const MINUTE_MS = 60_000

/**
 * Nothing goes before both clocks say so: the wall clock may step ahead and back, and time by the other alone would be
 * wrong where the wall clock was wrong at first.
 *
 * @param leastMs milliseconds that what is put in stays at the least. A wall clock that is ahead just then calls it
 *   expired, until it steps back.
 */
export function createExpiringSet({ wall, monotonic }: Clocks, leastMs: number): ExpiringSet {
  const expiries = new Map<string, number>()
  const filed = new Map<number, string[]>()

  function file(id: string, ms: number): void {
    const minute = Math.ceil((monotonic() + ms) / MINUTE_MS)
    const ids = filed.get(minute)
    if (ids === undefined) filed.set(minute, [id])
    else ids.push(id)
  }

  function take(id: string, onForget: ((id: string) => void) | undefined): void {
    const expiresAt = expiries.get(id)
    // It was filed twice, and went the first time.
    if (expiresAt === undefined) return
    const left = expiresAt - wall()
    if (left > 0) file(id, left)
    else {
      expiries.delete(id)
      onForget?.(id)
    }
  }

  return {
    put(id, expiresAt) {
      const known = expiries.get(id)
      if (known !== undefined && known >= expiresAt) return
      expiries.set(id, expiresAt)
      file(id, Math.max(leastMs, expiresAt - wall()))
    },
    has: id => expiries.has(id),
    forgetExpired(limit, onForget) {
      const now = monotonic()
      let left = limit
      for (const [minute, ids] of filed) {
        if (minute * MINUTE_MS > now) continue
        for (; left > 0 && ids.length > 0; left--) take(ids.pop() as string, onForget)
        if (ids.length === 0) filed.delete(minute)
      }
    },
    get size() {
      return expiries.size
    },
  }
}
