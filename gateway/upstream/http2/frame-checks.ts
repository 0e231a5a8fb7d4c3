import { ConnectionError } from './errors.ts'
import { ErrorCode } from './protocol.ts'

export function expectLength(length: number, start: number, end: number): void {
  if (end - start !== length) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `A frame has ${end - start} bytes instead of ${length}`)
  }
}

/** @returns from where to where the payload goes on between pad length and padding, RFC 9113 section 6.1. */
export function withoutPadding(payload: Buffer, start: number, end: number): [number, number] {
  if (start === end) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'A padded frame is empty')
  const to = end - (payload[start] as number)
  if (to < start + 1) throw violation('A frame has more padding than payload')
  return [start + 1, to]
}

/** The commonest error of a connection. */
export function violation(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message)
}
