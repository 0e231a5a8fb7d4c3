import { ConnectionError } from '../errors.ts'
import { DEFAULT_HEADER_TABLE_SIZE, ErrorCode } from '../protocol.ts'

/** Octets are decoded as latin1. */
export type HeaderField = readonly [name: string, value: string]

/** Octets that each field adds to its name and value, RFC 7541 section 4.1 and RFC 9113 section 6.5.2. */
const FIELD_OVERHEAD = 32

/** Size of a field in a table or in a header list, in octets. */
export function sizeOfField([name, value]: HeaderField): number {
  return name.length + value.length + FIELD_OVERHEAD
}

/**
 * The dynamic table of one direction of a connection, RFC 7541 sections 2.3.2 and 4. Its capacity is the initial 4,096
 * octets until the peer reduces it.
 */
export class DynamicTable {
  /** Oldest first. */
  readonly #fields: HeaderField[] = []
  #size = 0
  #capacity = DEFAULT_HEADER_TABLE_SIZE

  /** In octets. A table of 0 stores nothing. */
  get capacity(): number {
    return this.#capacity
  }

  /** Evicts the oldest fields that do not fit. @throws ConnectionError COMPRESSION_ERROR above 4,096 octets. */
  resize(capacity: number): void {
    if (capacity > DEFAULT_HEADER_TABLE_SIZE) {
      throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, `Dynamic table size update to ${capacity}`)
    }
    this.#capacity = capacity
    this.#evict(capacity)
  }

  /** Evicts fields to make room. A field larger than the table empties it. */
  insert(field: HeaderField): void {
    if (this.#capacity === 0) return
    const size = sizeOfField(field)
    this.#evict(this.#capacity - size)
    if (size > this.#capacity) return
    this.#fields.push(field)
    this.#size += size
  }

  /** @param index 0 for the field inserted last. */
  at(index: number): HeaderField | undefined {
    return this.#fields[this.#fields.length - 1 - index]
  }

  #evict(maxSize: number): void {
    while (this.#size > maxSize) {
      const oldest = this.#fields.shift()
      if (oldest === undefined) return
      this.#size -= sizeOfField(oldest)
    }
  }
}
