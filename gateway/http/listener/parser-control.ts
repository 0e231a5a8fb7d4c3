/**
 * Controls Node's HTTP parser by internals of Node 26. request-turns.test.ts, rejection.test.ts and url-limit.test.ts fail
 * if they change.
 *
 * Pause: a chunk of 64 KiB can hold 2,500 requests, and node:http creates objects of 3 KB for each as soon as the chunk
 * arrives. `parser.pause()` of node:http pauses only after the chunk. The callback `onIncoming` of a parser, however, may
 * return the error HPE_PAUSED of llhttp: the parser stops at this byte, and the server emits `clientError` with the chunk
 * and its number of parsed bytes.
 *
 * Methods: node:http closes a connection that receives CONNECT without a response to it and to the request before it,
 * unless `upgrade` is false. llhttp accepts the methods of RTSP, which `METHODS` does not list and Fastify does not route.
 * Another error than HPE_PAUSED that `onIncoming` returns is reported as HPE_CB_HEADERS_COMPLETE.
 */
import { type IncomingMessage, METHODS } from 'node:http'
import type { Socket } from 'node:net'
import type { ParserError } from './listener.ts'

/** `HPE_PAUSED` of llhttp. */
const PAUSED = 21
/** `HPE_INVALID_METHOD` of llhttp. */
const INVALID_METHOD = 6
const HTTP_METHODS: ReadonlySet<string | undefined> = new Set(METHODS)
/** `HTTPParser.kOnExecute`: the callback after each chunk. */
const ON_EXECUTE = 5

type OnIncoming = (request: ParsedRequest, keepAlive: boolean) => number
type OnExecute = (result: unknown) => void

/** While `upgrade` is true, node:http hands the connection over to another protocol. */
type ParsedRequest = IncomingMessage & { upgrade: boolean }

interface Parser {
  onIncoming: OnIncoming
  [ON_EXECUTE]: OnExecute
  resume(): void
  /** A copy of the chunk that is being parsed. */
  getCurrentBuffer(): Buffer
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

export interface ParserControl {
  /** Whether the parser stops after the head that it has parsed. */
  isPauseDue(): boolean
  /** Called after a chunk in which no head ended. */
  onPartialInput(chunk: () => Buffer): void
}

/** Rejects methods of RTSP, passes on CONNECT as a request, and calls `control`. */
export function controlParser(socket: Socket, control: ParserControl): void {
  const { parser } = socket as ParsedSocket
  if (!parser) return
  const { onIncoming, [ON_EXECUTE]: onExecute } = parser
  const currentChunk = () => parser.getCurrentBuffer()
  let hasHead = false
  parser.onIncoming = (request, keepAlive) => {
    hasHead = true
    if (!HTTP_METHODS.has(request.method)) return INVALID_METHOD
    if (request.method === 'CONNECT') request.upgrade = false
    const result = onIncoming(request, keepAlive)
    return control.isPauseDue() ? PAUSED : result
  }
  parser[ON_EXECUTE] = result => {
    onExecute(result)
    if (hasHead) hasHead = false
    else control.onPartialInput(currentChunk)
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
export function holdInput(socket: Socket, { rawPacket, bytesParsed }: ParserError, control: ParserControl): HeldInput {
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
  // The parser calls back after a chunk only while it reads the handle of the socket directly.
  const observe = (chunk: Buffer) => control.onPartialInput(() => chunk)

  return {
    get length() {
      return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    },
    release() {
      const { parser } = socket as ParsedSocket
      if (!parser || socket.destroyed) return
      socket.off('data', collect)
      socket.on('data', parse)
      socket.on('data', observe)
      parser.resume()
      const [first = Buffer.alloc(0), ...others] = chunks
      const input = others.length === 0 ? first : Buffer.concat(chunks)
      parse(input)
      observe(input)
    },
  }
}
