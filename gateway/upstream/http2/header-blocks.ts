import { ConnectionError } from './errors.ts'
import { violation, withoutPadding } from './frame-checks.ts'
import { HeaderAssembly } from './header-assembly.ts'
import { isSizeUpdate } from './hpack/decoder.ts'
import { ErrorCode, Flag, FrameType } from './protocol.ts'
import type { ResponseHead, ResponseHeadReader } from './response-head.ts'

export type HeadHandler = (streamId: number, head: ResponseHead, endStream: boolean) => void

/**
 * The header blocks that a connection receives: HEADERS and CONTINUATION frames put together, held to the header table
 * of size 0 that we announced, and read.
 */
export class HeaderBlocks {
  readonly #heads: ResponseHeadReader
  readonly #maxLength: number
  readonly #onHead: HeadHandler
  #assembly: HeaderAssembly | undefined
  // RFC 9113 section 4.3.1: after a table was reduced, the next block says so first.
  #awaitsSizeUpdate = true
  #settingsAcked = false

  /** @param maxLength octets of one block. */
  constructor(heads: ResponseHeadReader, maxLength: number, onHead: HeadHandler) {
    this.#heads = heads
    this.#maxLength = maxLength
    this.#onHead = onHead
  }

  /** The peer knows our settings from now on. */
  settingsAcked(): void {
    this.#settingsAcked = true
  }

  /** @throws ConnectionError for a frame that stands between the parts of a block. */
  checkOrder(type: number, streamId: number): void {
    if (this.#assembly === undefined) return
    if (type !== FrameType.CONTINUATION || streamId !== this.#assembly.streamId) {
      throw violation('Another frame stands within a header block')
    }
  }

  /** @throws ConnectionError */
  headers(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId === 0) throw violation('A HEADERS frame names no stream')
    let [from, to] = (flags & Flag.PADDED) === 0 ? [start, end] : withoutPadding(payload, start, end)
    if ((flags & Flag.PRIORITY) !== 0) {
      from += 5
      if (from > to) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'A HEADERS frame is too short')
    }
    const endStream = (flags & Flag.END_STREAM) !== 0
    if ((flags & Flag.END_HEADERS) !== 0) {
      this.#read(streamId, endStream, payload, from, to)
    } else {
      this.#assembly = new HeaderAssembly(streamId, endStream, this.#maxLength)
      this.#assembly.add(payload, from, to)
    }
  }

  /** @throws ConnectionError */
  continuation(flags: number, payload: Buffer, start: number, end: number): void {
    if (this.#assembly === undefined) throw violation('A CONTINUATION frame continues nothing')
    this.#assembly.add(payload, start, end)
    if ((flags & Flag.END_HEADERS) === 0) return
    const { streamId, endStream } = this.#assembly
    const block = this.#assembly.block()
    this.#assembly = undefined
    this.#read(streamId, endStream, block, 0, block.length)
  }

  #read(streamId: number, endStream: boolean, block: Buffer, start: number, end: number): void {
    if (this.#awaitsSizeUpdate) this.#expectSizeUpdate(block, start, end)
    this.#onHead(streamId, this.#heads.read(block, start, end), endStream)
  }

  #expectSizeUpdate(block: Buffer, start: number, end: number): void {
    if (start < end && isSizeUpdate(block[start] as number)) {
      this.#awaitsSizeUpdate = false
    } else if (this.#settingsAcked) {
      throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, 'The peer ignores that its header table is to be empty')
    }
  }
}
