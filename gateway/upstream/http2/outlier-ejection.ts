/**
 * Outlier ejection: an address whose calls fail several times in a row gets no calls for a time, which grows with each
 * ejection. After gRPC A50, with the criterion of consecutive failures instead of failure rates: it needs no minimum of calls
 * and works for two addresses.
 */
import { Code, PeerStatusError, type StatusError } from '#runtime/status.ts'
import { NotProcessedError } from '../transport.ts'

export interface EjectionOptions {
  /** Number of failed calls in a row after which an address is ejected. */
  consecutiveFailures: number
  /** Time of the first ejection, in milliseconds. The n-th one lasts n times as long. */
  baseMs: number
  /** Maximum time of an ejection, in milliseconds. */
  maxMs: number
}

/** `spared`: the address would have been ejected, but at most half of the addresses may be at a time. */
export type EjectionOutcome = 'ejected' | 'spared'

/** The record of one address. */
export class AddressState {
  /** Failed calls in a row. */
  failures = 0
  /** Ejections that count for the length of the next one. */
  ejections = 0
  /** In milliseconds of `performance.now()`. */
  ejectedUntil = 0
}

/** By `host:port`. Survives the connections: an unchanged address of a new configuration keeps its record. */
export type AddressStates = Map<string, AddressState>

export interface EjectionEvents {
  /** An address was ejected or admitted again. */
  onChange(): void
  onEjection(address: string, outcome: EjectionOutcome, durationMs: number): void
}

/** An ejection is forgotten after this time without another one, in milliseconds: `interval` of A50. */
const FORGET_MS = 10_000

export class OutlierEjection {
  readonly #options: EjectionOptions
  readonly #states: AddressStates
  readonly #events: EjectionEvents
  #timer: NodeJS.Timeout | undefined

  constructor(options: EjectionOptions, states: AddressStates, events: EjectionEvents) {
    this.#options = options
    this.#states = states
    this.#events = events
  }

  /** Sets the addresses of the upstream. Others are forgotten. */
  setAddresses(names: ReadonlySet<string>): void {
    for (const name of this.#states.keys()) if (!names.has(name)) this.#states.delete(name)
    for (const name of names) if (!this.#states.has(name)) this.#states.set(name, new AddressState())
  }

  /** Returns the record of an address. The caller sets `failures` to 0 when a call succeeds. */
  stateOf(address: string): AddressState | undefined {
    return this.#states.get(address)
  }

  recordFailure(address: string): void {
    const state = this.#states.get(address)
    if (state === undefined || ++state.failures < this.#options.consecutiveFailures) return
    const now = performance.now()
    // Calls that were sent before the ejection fail after it.
    if (state.ejectedUntil > now) return
    state.failures = 0
    if (this.#ejectedCount(now) + 1 > this.#states.size / 2) {
      if (this.#states.size > 1) this.#events.onEjection(address, 'spared', 0)
      return
    }
    const forgotten = Math.floor((now - state.ejectedUntil) / FORGET_MS)
    state.ejections = Math.max(0, state.ejections - forgotten) + 1
    const { baseMs, maxMs } = this.#options
    const durationMs = Math.min(baseMs * state.ejections, Math.max(baseMs, maxMs))
    state.ejectedUntil = now + durationMs
    this.#events.onEjection(address, 'ejected', durationMs)
    this.#events.onChange()
  }

  /** Returns the entries whose address is not ejected; all, if there is no other. */
  filter<T extends { readonly server: string }>(entries: readonly T[]): readonly T[] {
    const now = performance.now()
    this.#setTimer(now)
    const admitted = entries.filter(({ server }) => !((this.#states.get(server)?.ejectedUntil ?? 0) > now))
    return admitted.length > 0 ? admitted : entries
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  /** Fires when the next ejection ends. */
  #setTimer(now: number): void {
    clearTimeout(this.#timer)
    const ends = [...this.#states.values()].map(({ ejectedUntil }) => ejectedUntil).filter(end => end > now)
    if (ends.length === 0) return
    this.#timer = setTimeout(() => this.#events.onChange(), Math.ceil(Math.min(...ends) - now)).unref()
  }

  #ejectedCount(now: number): number {
    return countEjected(this.#states, now)
  }
}

/** @param now in milliseconds of `performance.now()`. */
export function countEjected(states: AddressStates, now: number): number {
  let count = 0
  for (const { ejectedUntil } of states.values()) if (ejectedUntil > now) count++
  return count
}

/** Codes that say that the server, or the way to it, does not work. */
const FAILURES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED])
/** The same, if the client derived the code from a reset stream or a malformed response. */
const DERIVED_FAILURES: ReadonlySet<Code> = new Set([...FAILURES, Code.INTERNAL, Code.UNKNOWN])

/**
 * Whether a failed attempt counts against its address. A call that was not processed does not: a server that stops refuses
 * calls. A deadline of the client does not: clients must not be able to eject servers.
 */
export function isServerFailure(error: StatusError, hasClientDeadline: boolean): boolean {
  if (error instanceof NotProcessedError) return false
  if (hasClientDeadline && error.code === Code.DEADLINE_EXCEEDED) return false
  return (error instanceof PeerStatusError ? FAILURES : DERIVED_FAILURES).has(error.code)
}
