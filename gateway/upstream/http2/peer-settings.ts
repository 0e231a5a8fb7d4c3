import { ConnectionError } from './errors.ts'
import {
  DEFAULT_HEADER_TABLE_SIZE,
  DEFAULT_WINDOW,
  ErrorCode,
  LARGEST_MAX_FRAME_SIZE,
  MAX_WINDOW,
  MIN_MAX_FRAME_SIZE,
  Setting,
} from './protocol.ts'

export interface PeerSettings {
  headerTableSize: number
  maxConcurrentStreams: number
  initialWindowSize: number
  maxFrameSize: number
  maxHeaderListSize: number
}

/** What holds until a peer says otherwise, RFC 9113 section 6.5.2. */
export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableSize: DEFAULT_HEADER_TABLE_SIZE,
    maxConcurrentStreams: Infinity,
    initialWindowSize: DEFAULT_WINDOW,
    maxFrameSize: MIN_MAX_FRAME_SIZE,
    maxHeaderListSize: Infinity,
  }
}

/** Takes over a SETTINGS frame's values in their order. @throws ConnectionError for one out of its range. */
export function readSettings(settings: PeerSettings, payload: Buffer, start: number, end: number): void {
  for (let at = start; at < end; at += 6) {
    const value = payload.readUInt32BE(at + 2)
    switch (payload.readUInt16BE(at)) {
      case Setting.HEADER_TABLE_SIZE:
        settings.headerTableSize = value
        break
      case Setting.ENABLE_PUSH:
        if (value !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'A server may not enable push')
        break
      case Setting.MAX_CONCURRENT_STREAMS:
        settings.maxConcurrentStreams = value
        break
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'A window is too large')
        settings.initialWindowSize = value
        break
      case Setting.MAX_FRAME_SIZE:
        if (value < MIN_MAX_FRAME_SIZE || value > LARGEST_MAX_FRAME_SIZE) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `A maximum frame size of ${value} is not allowed`)
        }
        settings.maxFrameSize = value
        break
      case Setting.MAX_HEADER_LIST_SIZE:
        settings.maxHeaderListSize = value
        break
    }
  }
}
