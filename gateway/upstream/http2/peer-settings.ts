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

/** The peer's SETTINGS, RFC 9113 section 6.5.2. Sizes are in octets. */
export interface PeerSettings {
  headerTableSize: number
  maxConcurrentStreams: number
  initialWindowSize: number
  maxFrameSize: number
  maxHeaderListSize: number
}

/** The initial values, which apply until the peer's SETTINGS arrive. */
export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableSize: DEFAULT_HEADER_TABLE_SIZE,
    maxConcurrentStreams: Infinity,
    initialWindowSize: DEFAULT_WINDOW,
    maxFrameSize: MIN_MAX_FRAME_SIZE,
    maxHeaderListSize: Infinity,
  }
}

/**
 * Applies the entries of a SETTINGS frame to `settings`, in order. Unknown settings are ignored.
 * @throws ConnectionError PROTOCOL_ERROR or FLOW_CONTROL_ERROR for a value out of range.
 */
export function readSettings(settings: PeerSettings, payload: Buffer, start: number, end: number): void {
  for (let at = start; at < end; at += 6) {
    const value = payload.readUInt32BE(at + 2)
    switch (payload.readUInt16BE(at)) {
      case Setting.HEADER_TABLE_SIZE:
        settings.headerTableSize = value
        break
      case Setting.ENABLE_PUSH:
        if (value !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'SETTINGS_ENABLE_PUSH from a server')
        break
      case Setting.MAX_CONCURRENT_STREAMS:
        settings.maxConcurrentStreams = value
        break
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW)
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1')
        settings.initialWindowSize = value
        break
      case Setting.MAX_FRAME_SIZE:
        if (value < MIN_MAX_FRAME_SIZE || value > LARGEST_MAX_FRAME_SIZE) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_MAX_FRAME_SIZE of ${value} is out of range`)
        }
        settings.maxFrameSize = value
        break
      case Setting.MAX_HEADER_LIST_SIZE:
        settings.maxHeaderListSize = value
        break
    }
  }
}
