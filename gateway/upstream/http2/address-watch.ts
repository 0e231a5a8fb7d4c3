import { type BackoffOptions, createBackoff } from './backoff.ts'
import { type LookUp, resolve, type Target } from './resolver.ts'
import type { Endpoint } from './socket.ts'

export interface AddressWatchOptions {
  lookUp: LookUp
  /** Milliseconds between two looks at a name whose servers work. */
  intervalMs: number
  backoff: BackoffOptions
}

export interface AddressWatch {
  /** Asks again soon: a server was lost, its name may lead elsewhere by now. */
  refresh(): void
  stop(): void
}

/** A name that is asked for because of lost servers is not asked more often. */
const MIN_INTERVAL_MS = 1000

/** Follows the addresses of a target for as long as it runs. A failed look-up leaves what was found before. */
export function watchAddresses(
  target: Target,
  options: AddressWatchOptions,
  events: { onAddresses(addresses: Endpoint[]): void; onTrouble(error: Error): void },
): AddressWatch {
  const backoff = createBackoff(options.backoff)
  const known = new Map<string, readonly string[]>()
  let failure: unknown
  let timer: NodeJS.Timeout | undefined
  let askedAt = 0
  let asking = false
  let stopped = false

  /** Of several names one may fail: where it led is not forgotten for that. */
  async function lookUp(name: string): Promise<readonly string[]> {
    try {
      const found = await options.lookUp(name)
      known.set(name, found)
      return found
    } catch (error) {
      failure = error
      const before = known.get(name)
      if (before === undefined) throw error
      return before
    }
  }

  async function ask(): Promise<void> {
    asking = true
    failure = undefined
    askedAt = performance.now()
    clearTimeout(timer)
    let delay = options.intervalMs
    try {
      const addresses = await resolve(target, lookUp)
      if (stopped) return
      events.onAddresses(addresses)
    } catch (error) {
      failure = error
    } finally {
      asking = false
    }
    if (stopped) return
    if (failure === undefined) backoff.reset()
    else {
      delay = backoff.next()
      events.onTrouble(failure as Error)
    }
    if (target.isNamed) askIn(delay)
  }

  function askIn(delay: number): void {
    clearTimeout(timer)
    timer = setTimeout(ask, delay).unref()
  }

  void ask()
  return {
    refresh() {
      if (target.isNamed && !asking && !stopped) askIn(Math.max(0, askedAt + MIN_INTERVAL_MS - performance.now()))
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
