import { timeLeft } from '../deadline.ts'

interface Expiring {
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number
  /** Position in the timer's list; -1 if not in it. Written by the timer only. */
  timerIndex: number
  /** Called at the deadline. May add and delete calls. */
  expire(): void
}

/** The longest delay of `setTimeout`. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * One timer for the deadlines of all calls. It is set for the earliest deadline and not moved when calls end; when it
 * fires, it checks every call in flight. A call that ends in time therefore costs one comparison and no timer.
 */
export class DeadlineTimer<Call extends Expiring> {
  // Not a Set: its discarded tables stay reachable while entries come and go (see stream-table.ts).
  readonly #calls: Call[] = []
  #timer: NodeJS.Timeout | undefined
  #timerDeadline = Infinity

  get size(): number {
    return this.#calls.length
  }

  add(call: Call): void {
    call.timerIndex = this.#calls.push(call) - 1
    if (this.#calls.length === 1) this.#timer?.ref()
    if (call.deadline < this.#timerDeadline) this.#setTimer(call.deadline)
  }

  delete(call: Call): void {
    const at = call.timerIndex
    if (at === -1) return
    call.timerIndex = -1
    const last = this.#calls.pop() as Call
    if (last !== call) {
      this.#calls[at] = last
      last.timerIndex = at
    }
    if (this.#calls.length === 0) this.#timer?.unref()
  }

  #setTimer(deadline: number): void {
    clearTimeout(this.#timer)
    this.#timerDeadline = deadline
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(Math.max(0, timeLeft(deadline)), MAX_TIMER_MS))
  }

  #onTimer(): void {
    this.#timer = undefined
    this.#timerDeadline = Infinity
    const now = performance.now()
    let next = Infinity
    // Iterate over a copy: `expire` deletes the call.
    for (const call of [...this.#calls]) {
      if (call.deadline <= now) call.expire()
      else if (call.deadline < next) next = call.deadline
    }
    // `expire` may have started another call, which set the timer.
    if (next < this.#timerDeadline) this.#setTimer(next)
  }
}
