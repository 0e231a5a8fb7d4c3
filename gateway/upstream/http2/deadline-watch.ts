import { timeLeft } from '../deadline.ts'

interface Expiring {
  /** See deadline.ts. */
  readonly deadline: number
  /** Where the watch has it; -1 outside. */
  watchIndex: number
  expire(): void
}

/** The longest span of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * The deadlines of all calls with one timer. It is set for the earliest deadline and left alone while calls come and go;
 * when it fires it looks through the calls under way. So a call that ends in time costs a comparison and no timer.
 */
export class DeadlineWatch<Call extends Expiring> {
  // An array, as a Set that changes all the time keeps its outgrown tables alive (see stream-table.ts).
  readonly #calls: Call[] = []
  #timer: NodeJS.Timeout | undefined
  #timerDeadline = Infinity

  get size(): number {
    return this.#calls.length
  }

  add(call: Call): void {
    call.watchIndex = this.#calls.push(call) - 1
    if (this.#calls.length === 1) this.#timer?.ref()
    if (call.deadline < this.#timerDeadline) this.#setTimer(call.deadline)
  }

  delete(call: Call): void {
    const at = call.watchIndex
    if (at === -1) return
    call.watchIndex = -1
    const last = this.#calls.pop() as Call
    if (last !== call) {
      this.#calls[at] = last
      last.watchIndex = at
    }
    if (this.#calls.length === 0) this.#timer?.unref()
  }

  #setTimer(deadline: number): void {
    clearTimeout(this.#timer)
    this.#timerDeadline = deadline
    this.#timer = setTimeout(() => this.#expire(), Math.min(Math.max(0, timeLeft(deadline)), MAX_TIMER_MS))
  }

  #expire(): void {
    this.#timer = undefined
    this.#timerDeadline = Infinity
    const now = performance.now()
    let next = Infinity
    // A copy: those that expire leave.
    for (const call of [...this.#calls]) {
      if (call.deadline <= now) call.expire()
      else if (call.deadline < next) next = call.deadline
    }
    // An expiry may have begun another call, and set the timer for it.
    if (next < this.#timerDeadline) this.#setTimer(next)
  }
}
