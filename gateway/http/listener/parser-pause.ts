/**
 * Pauses Node's HTTP parser after the head of a request, inside of a chunk. A chunk of 64 KiB can hold 2,500 requests, and
 * node:http creates objects of 3 KB for each as soon as the chunk arrives.
 *
 * `parser.pause()` of node:http pauses only after the chunk. The callback `onIncoming` of a parser, however, may return
 * the error HPE_PAUSED of llhttp: the parser stops at this byte, and the server emits `clientError` with the chunk and
 * its number of parsed bytes. These are internals of Node 26; request-turns.test.ts fails if they change.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ParserError } from './listener.ts'

/** `HPE_PAUSED` of llhttp. */
const PAUSED = 21

type OnIncoming = (request: IncomingMessage, keepAlive: boolean) => number

interface Parser {
  onIncoming: OnIncoming
  resume(): void
}

interface ParsedSocket extends Socket {
  readonly parser: Parser | null
  /** Whether node:http has stopped reading, because the client does not read its responses. */
  readonly _paused: boolean
}

/** Bytes of a connection that are not parsed yet. */
export interface HeldInput {
  readonly length: number
  /** Parses the bytes. The parser may stop again within them. Does not resume reading. */
  release(): void
}

/** Makes the parser of a connection stop after each head for which `isPauseDue` returns true. */
export function pauseParserWhen(socket: Socket, isPauseDue: () => boolean): void {
  const { parser } = socket as ParsedSocket
  if (!parser) return
  const { onIncoming } = parser
  parser.onIncoming = (request, keepAlive) => {
    const result = onIncoming(request, keepAlive)
    return isPauseDue() ? PAUSED : result
  }
}

/** Whether an error of `clientError` is the pause of a parser. */
export function isParserPause({ code }: ParserError): boolean {
  return code === 'HPE_PAUSED'
}

/** Passes what arrives to `onData` instead of to the parser. */
export function detachParser(socket: Socket, onData: (chunk: Buffer) => void): void {
  socket.removeAllListeners('data')
  // node:http lets the parser read the handle of the socket directly until there is another listener.
  socket.on('data', onData)
  // node:http may have stopped the handle, and the stream does not know that.
  socket._read(0)
}

/** Whether node:http has stopped reading because the client does not read. It parses nothing until `drain`. */
export function isReadingStopped(socket: Socket): boolean {
  return (socket as ParsedSocket)._paused
}

/** Stops reading and keeps what was not parsed. Call it for an error for which `isParserPause` is true. */
export function holdInput(socket: Socket, { rawPacket, bytesParsed }: ParserError): HeldInput {
  const chunks: Buffer[] = rawPacket instanceof Buffer ? [rawPacket.subarray(bytesParsed)] : []
  const [parse] = socket.listeners('data') as ((chunk: Buffer) => void)[]
  if (parse === undefined) throw new Error('The socket has no parser')
  detachParser(socket, collect)
  socket.pause()
  // node:http may resume the socket at any time.
  function collect(chunk: Buffer): void {
    chunks.push(chunk)
    socket.pause()
  }

  return {
    get length() {
      return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    },
    release() {
      const { parser } = socket as ParsedSocket
      if (!parser || socket.destroyed) return
      socket.off('data', collect)
      socket.on('data', parse)
      parser.resume()
      const [first = Buffer.alloc(0), ...others] = chunks
      parse(others.length === 0 ? first : Buffer.concat(chunks))
    },
  }
}
