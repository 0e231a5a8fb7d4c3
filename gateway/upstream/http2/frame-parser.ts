/**
 * Parses frames by type (RFC 9113 section 6) and calls a handler with their fields. Checks everything that a frame alone
 * shows: length, padding, whether it belongs to a stream or to the connection, and the order of header block fragments.
 * Rules that depend on the state of the connection or of a stream are the handler's.
 */
import { ConnectionError, protocolError } from './errors.ts'
import { HeaderBlocks } from './header-blocks.ts'
import { ErrorCode, Flag, FrameType, MAX_STREAM_ID } from './protocol.ts'
import type { ResponseHeaderReader, ResponseHeaders } from './response-headers.ts'

export interface FrameHandler {
  /**
   * DATA: `payload` from `start` to `end`, without padding.
   * @param flowLength octets that count against the flow-control windows, including padding.
   */
  onData(streamId: number, payload: Buffer, start: number, end: number, flowLength: number, endStream: boolean): void
  /** A complete header block: HEADERS and its CONTINUATION frames. */
  onHeaders(streamId: number, headers: ResponseHeaders, endStream: boolean): void
  onResetStream(streamId: number, http2Code: number): void
  /** SETTINGS without ACK: `payload` from `start` to `end` has entries of 6 octets. */
  onSettings(payload: Buffer, start: number, end: number): void
  /** PING without ACK: 8 octets of `payload` from `start`. */
  onPing(payload: Buffer, start: number): void
  /** @param debugData at most 128 octets, as latin1 text. */
  onGoaway(lastStreamId: number, http2Code: number, debugData: string): void
  /** @param streamId 0 for the window of the connection. */
  onWindowUpdate(streamId: number, increment: number): void
}

const SETTING_LENGTH = 6
const MAX_DEBUG_DATA_LENGTH = 128

export class FrameParser {
  readonly #handler: FrameHandler
  readonly #headerBlocks: HeaderBlocks

  /** @param maxHeaderBlockLength maximum length of one header block, in octets. */
  constructor(headerReader: ResponseHeaderReader, maxHeaderBlockLength: number, handler: FrameHandler) {
    this.#handler = handler
    this.#headerBlocks = new HeaderBlocks(headerReader, maxHeaderBlockLength, handler)
  }

  /** @throws ConnectionError for a malformed frame, and whatever the handler throws. */
  parse(type: number, flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    this.#headerBlocks.checkOrder(type, streamId)
    switch (type) {
      case FrameType.DATA:
        this.#parseData(flags, streamId, payload, start, end)
        break
      case FrameType.HEADERS:
        this.#parseHeaders(flags, streamId, payload, start, end)
        break
      case FrameType.CONTINUATION:
        this.#headerBlocks.append(payload, start, end, (flags & Flag.END_HEADERS) !== 0)
        break
      case FrameType.RST_STREAM:
        checkLength(4, start, end)
        this.#handler.onResetStream(streamId, payload.readUInt32BE(start))
        break
      case FrameType.SETTINGS:
        this.#parseSettings(flags, streamId, payload, start, end)
        break
      case FrameType.PING:
        checkLength(8, start, end)
        if (streamId !== 0) throw protocolError('PING on a stream')
        if ((flags & Flag.ACK) === 0) this.#handler.onPing(payload, start)
        break
      case FrameType.GOAWAY:
        this.#parseGoaway(streamId, payload, start, end)
        break
      case FrameType.WINDOW_UPDATE:
        checkLength(4, start, end)
        this.#handler.onWindowUpdate(streamId, payload.readUInt32BE(start) & 0x7fff_ffff)
        break
      case FrameType.PRIORITY:
        checkLength(5, start, end)
        if (streamId === 0) throw protocolError('PRIORITY without a stream')
        break
      case FrameType.PUSH_PROMISE:
        throw protocolError('PUSH_PROMISE although push is disabled')
    }
    // Frames of unknown types are ignored, RFC 9113 section 5.5.
  }

  #parseData(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('DATA without a stream')
    let from = start
    let to = end
    if ((flags & Flag.PADDED) !== 0) {
      to -= paddingLength(payload, start, end)
      from++
    }
    this.#handler.onData(streamId, payload, from, to, end - start, (flags & Flag.END_STREAM) !== 0)
  }

  #parseHeaders(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('HEADERS without a stream')
    let from = start
    let to = end
    if ((flags & Flag.PADDED) !== 0) {
      to -= paddingLength(payload, start, end)
      from++
    }
    if ((flags & Flag.PRIORITY) !== 0) {
      from += 5
      if (from > to) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS is too short for its priority')
    }
    const endStream = (flags & Flag.END_STREAM) !== 0
    this.#headerBlocks.start(streamId, payload, from, to, endStream, (flags & Flag.END_HEADERS) !== 0)
  }

  #parseSettings(flags: number, streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('SETTINGS on a stream')
    if ((flags & Flag.ACK) !== 0) {
      checkLength(0, start, end)
      return
    }
    if ((end - start) % SETTING_LENGTH !== 0) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS is truncated')
    }
    this.#handler.onSettings(payload, start, end)
  }

  #parseGoaway(streamId: number, payload: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('GOAWAY on a stream')
    if (end - start < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'GOAWAY is too short')
    const lastStreamId = payload.readUInt32BE(start) & MAX_STREAM_ID
    const debugData = payload.toString('latin1', start + 8, Math.min(end, start + 8 + MAX_DEBUG_DATA_LENGTH))
    this.#handler.onGoaway(lastStreamId, payload.readUInt32BE(start + 4), debugData)
  }
}

function checkLength(expected: number, start: number, end: number): void {
  if (end - start === expected) return
  throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `Frame has ${end - start} bytes instead of ${expected}`)
}

/** The value of the Pad Length field at `start`, RFC 9113 section 6.1. */
function paddingLength(payload: Buffer, start: number, end: number): number {
  if (start === end) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'Padded frame without a pad length')
  const length = payload[start] as number
  if (start + 1 + length > end) throw protocolError('Padding is longer than the frame')
  return length
}
