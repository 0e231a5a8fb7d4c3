import { ConnectionError, protocolError } from './errors.ts'
import { DynamicTable } from './hpack/dynamic-table.ts'
import { ErrorCode, FrameType } from './protocol.ts'
import type { ResponseHeaderReader, ResponseHeaders } from './response-headers.ts'

/** Maximum number of frames of one header block. Bounds empty CONTINUATION frames, which add nothing to the length. */
const MAX_FRAGMENTS = 64

export interface HeaderBlockHandler {
  onHeaders(streamId: number, headers: ResponseHeaders, endStream: boolean): void
}

/**
 * Joins HEADERS and CONTINUATION frames into header blocks and decodes them.
 *
 * The peer may use the initial dynamic table of 4,096 octets until it acknowledges the size 0 that the connection announces
 * (RFC 9113 section 6.5.3). Some peers never apply a reduced size, and some apply it without the size update that section
 * 4.3.1 demands. Neither is an error: like grpc-js, which keeps the initial size, the connection decodes what they send.
 */
export class HeaderBlocks {
  readonly #reader: ResponseHeaderReader
  readonly #maxLength: number
  readonly #handler: HeaderBlockHandler
  readonly #table = new DynamicTable()
  /** The block whose last fragment has not arrived. */
  #pending: PendingBlock | undefined

  /** @param maxLength maximum length of one block, in octets. */
  constructor(reader: ResponseHeaderReader, maxLength: number, handler: HeaderBlockHandler) {
    this.#reader = reader
    this.#maxLength = maxLength
    this.#handler = handler
  }

  /** @throws ConnectionError PROTOCOL_ERROR for a frame between the fragments of a block, RFC 9113 section 6.10. */
  checkOrder(type: number, streamId: number): void {
    if (this.#pending === undefined) return
    if (type !== FrameType.CONTINUATION || streamId !== this.#pending.streamId) {
      throw protocolError('Expected CONTINUATION of the header block')
    }
  }

  /** Adds the fragment of HEADERS. @throws ConnectionError COMPRESSION_ERROR, or ENHANCE_YOUR_CALM if it is too large. */
  start(streamId: number, payload: Buffer, start: number, end: number, endStream: boolean, endHeaders: boolean): void {
    if (endHeaders) this.#read(streamId, endStream, payload, start, end)
    else {
      this.#pending = { streamId, endStream, fragments: [], length: 0 }
      this.#add(this.#pending, payload, start, end)
    }
  }

  /** Adds the fragment of CONTINUATION. @throws ConnectionError as `start`, or PROTOCOL_ERROR without a pending block. */
  append(payload: Buffer, start: number, end: number, endHeaders: boolean): void {
    if (this.#pending === undefined) throw protocolError('CONTINUATION without HEADERS')
    this.#add(this.#pending, payload, start, end)
    if (!endHeaders) return
    const { streamId, endStream, fragments, length } = this.#pending
    this.#pending = undefined
    this.#read(streamId, endStream, Buffer.concat(fragments, length), 0, length)
  }

  #add(pending: PendingBlock, payload: Buffer, start: number, end: number): void {
    pending.length += end - start
    if (pending.length > this.#maxLength || pending.fragments.length >= MAX_FRAGMENTS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'Header block is too large')
    }
    pending.fragments.push(Buffer.from(payload.subarray(start, end)))
  }

  #read(streamId: number, endStream: boolean, block: Buffer, start: number, end: number): void {
    this.#handler.onHeaders(streamId, this.#reader.read(block, start, end, this.#table), endStream)
  }
}

interface PendingBlock {
  readonly streamId: number
  readonly endStream: boolean
  readonly fragments: Buffer[]
  length: number
}
