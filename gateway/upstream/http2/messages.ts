/** Length-Prefixed-Messages of gRPC over HTTP/2: 1 octet compressed flag, 4 octets length, then the message. */
import { gunzip, gunzipSync } from 'node:zlib'
import { Code, StatusError, unavailable } from '#runtime/status.ts'
import { responseTooLarge } from '../transport.ts'
import { StreamError } from './errors.ts'
import { MESSAGE_HEADER_LENGTH } from './frame-writer.ts'
import { ErrorCode } from './protocol.ts'

/** Bytes that may still be buffered for unfinished responses. Shared by the streams of a connection. */
export interface BufferBudget {
  remaining: number
}

/** @throws StreamError with UNAVAILABLE if the budget is exhausted. */
export function charge(budget: BufferBudget, bytes: number): void {
  if (bytes > budget.remaining) {
    throw new StreamError(ErrorCode.CANCEL, unavailable('Too many bytes of unfinished responses are buffered'))
  }
  budget.remaining -= bytes
}

/** Receives a message. Its length has been charged to the budget; the stream refunds it when it ends. */
export type DeliverMessage = (message: Buffer, compressed: boolean) => void

/** @throws StreamError for an unknown flag, or RESOURCE_EXHAUSTED for a message longer than `maxLength` bytes. */
export function checkMessageHeader(flag: number, length: number, maxLength: number): void {
  if (flag > 1) {
    const status = new StatusError(Code.INTERNAL, `The response has a message with the unknown flag ${flag}`)
    throw new StreamError(ErrorCode.CANCEL, status)
  }
  if (length > maxLength) throw new StreamError(ErrorCode.CANCEL, responseTooLarge(maxLength))
}

const INITIAL_CAPACITY = 16 * 1024

/**
 * Assembles messages that span several DATA frames. The buffer grows with the bytes received: a peer cannot make it
 * allocate memory by announcing a length.
 */
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

  /** False while a message is incomplete. */
  get isEmpty(): boolean {
    return this.#headerLength === 0
  }

  /** @throws StreamError as `checkMessageHeader` and `charge`, and whatever `deliver` throws. */
  push(bytes: Buffer, start: number, end: number, deliver: DeliverMessage): void {
    let at = start
    while (at < end) {
      if (this.#headerLength < MESSAGE_HEADER_LENGTH) at = this.#readHeader(bytes, at, end)
      else at = this.#readBody(bytes, at, end)
      if (this.#headerLength === MESSAGE_HEADER_LENGTH && this.#filled === this.#length) {
        const message = this.#body
        const compressed = this.#flag === 1
        this.#clear()
        deliver(message, compressed)
      }
    }
  }

  /** Discards an incomplete message and refunds its buffer. */
  release(): void {
    this.#budget.remaining += this.#body.length
    this.#clear()
  }

  #clear(): void {
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
    const copied = Math.min(end - at, this.#length - this.#filled)
    this.#grow(this.#filled + copied)
    bytes.copy(this.#body, this.#filled, at, at + copied)
    this.#filled += copied
    return at + copied
  }

  #grow(needed: number): void {
    if (needed <= this.#body.length) return
    const capacity = Math.min(this.#length, Math.max(INITIAL_CAPACITY, needed, this.#body.length * 2))
    charge(this.#budget, capacity - this.#body.length)
    const larger = Buffer.allocUnsafeSlow(capacity)
    this.#body.copy(larger, 0, 0, this.#filled)
    this.#body = larger
  }
}

const EMPTY = Buffer.alloc(0)

/**
 * Decompresses a gzip message of at most `maxLength` bytes after decompression.
 * @throws StatusError RESOURCE_EXHAUSTED if the message is longer, INTERNAL if it is not valid gzip.
 */
export function decompress(message: Buffer, maxLength: number): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    gunzip(message, { maxOutputLength: maxLength }, (error, decompressed) => {
      if (error === null) resolve(decompressed)
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        reject(responseTooLarge(maxLength, error))
      } else reject(new StatusError(Code.INTERNAL, 'The response is not valid gzip', { cause: error }))
    }),
  )
}

/** Decompresses a short gzip message synchronously. @throws Error if it is not valid gzip or longer than 1,024 bytes. */
export function decompressShort(message: Buffer): Buffer {
  return gunzipSync(message, { maxOutputLength: 1024 })
}
