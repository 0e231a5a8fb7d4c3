/**
 * The request line of a request that Node's parser rejected. The parser reports the chunk in which it stopped, and the line
 * may have started in earlier chunks.
 */
import type { ParserError } from './listener.ts'

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+"
const UNFINISHED = new RegExp(`^${TOKEN}(?: \\S*)?$`)
const TARGET_REACHED = new RegExp(`^${TOKEN} \\S+$`)
/** A request line of any method, complete or as far as it has arrived. */
const ANY_METHOD = new RegExp(`^${TOKEN}(?:$| \\S*$| \\S+ (?:H?T?T?P?|HTTP/[\\d.]{0,3})$| \\S+ HTTP/1\\.[01]\\r?\\n)`)
const TOKEN_AT_END = new RegExp(`${TOKEN}$`)

/** Characters of an unfinished request line that are kept: the method, and the start of the target. */
const KEPT_LENGTH = 64

/**
 * Returns the start of the request line in which `chunk` ends; the empty string if it does not end in one.
 * @param before the result for the chunk before.
 */
export function unfinishedLine(before: string, chunk: Buffer): string {
  const start = chunk.lastIndexOf('\n') + 1
  const line = (start === 0 ? before : '') + chunk.toString('latin1', start)
  return UNFINISHED.test(line) ? line.slice(0, KEPT_LENGTH) : ''
}

/** Whether the parser stopped in the target of an unfinished request line. */
export function isInTarget({ rawPacket, bytesParsed, lineBefore = '' }: ParserError): boolean {
  if (!Buffer.isBuffer(rawPacket)) return false
  return TARGET_REACHED.test(unfinishedLine(lineBefore, rawPacket.subarray(0, bytesParsed)))
}

/** Whether the parser stopped in the method of a request line that is valid apart from it. */
export function hasOtherMethod({ rawPacket, bytesParsed, lineBefore = '' }: ParserError): boolean {
  if (!Buffer.isBuffer(rawPacket)) return false
  const parsed = rawPacket.toString('latin1', 0, bytesParsed)
  const [token = ''] = TOKEN_AT_END.exec(parsed) ?? []
  const start = token.length === parsed.length ? lineBefore + token : token
  return ANY_METHOD.test(start + rawPacket.toString('latin1', bytesParsed))
}
