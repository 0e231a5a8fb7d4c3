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
  const kept = new Map<string, { readonly expiresAt: number; readonly keptUntil: number }>()
  const filed = new Map<number, string[]>()

  function file(id: string, ms: number): void {
    const minute = Math.ceil((monotonic() + ms) / MINUTE_MS)
    const ids = filed.get(minute)
    if (ids === undefined) filed.set(minute, [id])
    else ids.push(id)
  }

  function take(id: string, onForget: ((id: string) => void) | undefined): void {
    const times = kept.get(id)
    // It was filed twice, and went the first time.
    if (times === undefined) return
    const left = Math.max(times.expiresAt - wall(), times.keptUntil - monotonic())
    if (left > 0) file(id, left)
    else {
      kept.delete(id)
      onForget?.(id)
    }
  }

  return {
    put(id, expiresAt) {
      const known = kept.get(id)
      if (known !== undefined && known.expiresAt >= expiresAt) return
      kept.set(id, { expiresAt, keptUntil: monotonic() + leastMs })
      file(id, Math.max(leastMs, expiresAt - wall()))
    },
    has: id => kept.has(id),
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
      return kept.size
    },
  }
}
