/** gRPC's length-prefixed messages: 1 octet compressed flag, 4 octets length, then the message. */
import { Code, StatusError, unavailable } from '#runtime/status.ts'
import { answerTooLarge } from '../transport.ts'
import { StreamError } from './errors.ts'
import { MESSAGE_HEADER_LENGTH } from './outbox.ts'
import { ErrorCode } from './protocol.ts'

/** Memory for messages of streams that have not ended, over all streams of a connection. */
export interface BufferBudget {
  left: number
}

/** @throws StreamError when there is not so much left. */
export function charge(budget: BufferBudget, bytes: number): void {
  if (bytes > budget.left) {
    throw new StreamError(ErrorCode.CANCEL, unavailable('Too much of other answers is under way'))
  }
  budget.left -= bytes
}

/** @param message is charged to the budget: whoever takes it gives that back. */
export type DeliverMessage = (message: Buffer, compressed: boolean) => void

const FIRST_CAPACITY = 16 * 1024

/** @throws StreamError for a message header that no reader would accept. */
export function checkMessageHeader(flag: number, length: number, maxLength: number): void {
  if (flag > 1) {
    const status = new StatusError(Code.INTERNAL, `A message of the answer has the unknown flag ${flag}`)
    throw new StreamError(ErrorCode.CANCEL, status)
  }
  if (length > maxLength) throw new StreamError(ErrorCode.CANCEL, answerTooLarge(maxLength))
}

/** Puts together a message that comes in several DATA frames. Memory follows what has arrived, not what is announced. */
export class MessageAssembler {
  readonly #maxLength: number
  readonly #budget: BufferBudget
  #headerLength = 0
  #flag = 0
  #length = 0
  #body: Buffer = EMPTY
  #filled = 0

  constructor(maxLength: number, budget: BufferBudget) {
    this.#maxLength = maxLength
    this.#budget = budget
  }

  /** Whether nothing of a message has arrived that is not whole yet. */
  get isEmpty(): boolean {
    return this.#headerLength === 0
  }

  /** @throws StreamError */
  push(bytes: Buffer, start: number, end: number, deliver: DeliverMessage): void {
    let at = start
    while (at < end) {
      if (this.#headerLength < MESSAGE_HEADER_LENGTH) at = this.#readHeader(bytes, at, end)
      else at = this.#readBody(bytes, at, end)
      if (this.#headerLength === MESSAGE_HEADER_LENGTH && this.#filled === this.#length) {
        const message = this.#body
        const compressed = this.#flag === 1
        this.#begin()
        deliver(message, compressed)
      }
    }
  }

  /** Forgets what has arrived. */
  release(): void {
    this.#budget.left += this.#body.length
    this.#begin()
  }

  #begin(): void {
    this.#body = EMPTY
    this.#headerLength = 0
    this.#length = 0
    this.#filled = 0
  }

  #readHeader(bytes: Buffer, at: number, end: number): number {
    while (at < end && this.#headerLength < MESSAGE_HEADER_LENGTH) {
      const byte = bytes[at++] as number
      if (this.#headerLength === 0) this.#flag = byte
      else this.#length = this.#length * 256 + byte
      this.#headerLength++
    }
    if (this.#headerLength === MESSAGE_HEADER_LENGTH) checkMessageHeader(this.#flag, this.#length, this.#maxLength)
    return at
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    const taken = Math.min(end - at, this.#length - this.#filled)
    this.#grow(this.#filled + taken)
    bytes.copy(this.#body, this.#filled, at, at + taken)
    this.#filled += taken
    return at + taken
  }

  #grow(needed: number): void {
    if (needed <= this.#body.length) return
    const capacity = Math.min(this.#length, Math.max(FIRST_CAPACITY, needed, this.#body.length * 2))
    charge(this.#budget, capacity - this.#body.length)
    const larger = Buffer.allocUnsafeSlow(capacity)
    this.#body.copy(larger, 0, 0, this.#filled)
    this.#body = larger
  }
}

const EMPTY = Buffer.alloc(0)
