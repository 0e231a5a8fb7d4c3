/** Name resolution: keeps the addresses of a target up to date. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type BackoffOptions, createBackoff } from './backoff.ts'
import { type Endpoint, endpointName, type Target } from './target.ts'

/** Returns the IP addresses of a host name. */
export type LookUp = (name: string) => Promise<readonly string[]>

/** Looks up a name with the system's resolver, which honours /etc/hosts and search domains. */
export async function lookUpName(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

export interface ResolverOptions {
  lookUp: LookUp
  /** Time between two lookups after a successful one, in milliseconds. */
  intervalMs: number
  /** Delays after a failed lookup. */
  backoff: BackoffOptions
}

export interface ResolverEvents {
  /** Called after every resolution, also if the addresses are the same. Never empty. */
  onAddresses(addresses: Endpoint[]): void
  /** A lookup failed. Names that were resolved before keep their addresses. */
  onFailure(error: Error): void
}

export interface Resolver {
  /** Resolves soon, at most once per second. Call after a connection was lost: the name may have moved. */
  resolveNow(): void
  close(): void
}

/** Minimum time between two lookups requested by `resolveNow`. */
const MIN_INTERVAL_MS = 1000

/** Resolves the target at once and then periodically until closed. A target of IP addresses is resolved only once. */
export function createResolver(target: Target, options: ResolverOptions, events: ResolverEvents): Resolver {
  const backoff = createBackoff(options.backoff)
  const known = new Map<string, readonly string[]>()
  let failure: unknown
  let timer: NodeJS.Timeout | undefined
  let resolvedAt = 0
  let isResolving = false
  let isClosed = false

  /** Falls back to the last known addresses of a name if its lookup fails. */
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

  async function update(): Promise<void> {
    isResolving = true
    failure = undefined
    resolvedAt = performance.now()
    clearTimeout(timer)
    let delay = options.intervalMs
    try {
      const addresses = await resolve(target, lookUp)
      if (isClosed) return
      events.onAddresses(addresses)
    } catch (error) {
      failure = error
    } finally {
      isResolving = false
    }
    if (isClosed) return
    if (failure === undefined) backoff.reset()
    else {
      delay = backoff.next()
      events.onFailure(failure as Error)
    }
    if (target.hasNames) schedule(delay)
  }

  function schedule(delay: number): void {
    clearTimeout(timer)
    timer = setTimeout(update, delay).unref()
  }

  void update()
  return {
    resolveNow() {
      if (!target.hasNames || isResolving || isClosed) return
      schedule(Math.max(0, resolvedAt + MIN_INTERVAL_MS - performance.now()))
    },
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

/** @returns every address of the target, without duplicates. @throws Error if there is none. */
async function resolve({ addresses }: Target, lookUp: LookUp): Promise<Endpoint[]> {
  const found = new Map<string, Endpoint>()
  const failures: unknown[] = []
  const failed = (error: unknown): string[] => {
    failures.push(error)
    return []
  }
  for (const { host, port } of addresses) {
    const hosts = isIP(host) === 0 ? await lookUp(host).catch(failed) : [host]
    for (const address of hosts) {
      const endpoint = { host: address, port }
      found.set(endpointName(endpoint), endpoint)
    }
  }
  if (found.size === 0) throw new AggregateError(failures, 'Name resolution returned no addresses')
  return [...found.values()]
}
