/** An HTTP/2 peer that sends arbitrary bytes and records the frames it receives. It shares no code with the client. */
import { EventEmitter, once } from 'node:events'
import net from 'node:net'

/** A received frame. */
export interface Frame {
  type: number
  flags: number
  streamId: number
  payload: Buffer
}

export const DATA = 0
export const HEADERS = 1
export const RST_STREAM = 3
export const SETTINGS = 4
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4
export const PADDED = 8
export const PRIORITIZED = 0x20

/** Encodes a frame. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(streamId, 5)
  return Buffer.concat([header, payload])
}

/** Encodes 32-bit integers, big endian. */
export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4)
  return bytes
}

/** Encodes a SETTINGS frame. @param values setting ids and their values. */
export function settings(values: Record<number, number>): Buffer {
  const entries = Object.entries(values)
  const payload = Buffer.alloc(6 * entries.length)
  entries.forEach(([setting, value], index) => {
    payload.writeUInt16BE(Number(setting), index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  })
  return frame(SETTINGS, 0, 0, payload)
}

/** Encodes fields as literals without indexing. Names and values must be shorter than 127 octets. */
export function headerBlock(...fields: [name: string, value: string][]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name, 'latin1'),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    ]),
  )
}

/** Dynamic table size update to 0: the start of the first block after the table was reduced. */
export const SIZE_UPDATE = Buffer.from([0x20])

/** Header block of a successful gRPC response. */
export const RESPONSE_HEADERS = headerBlock([':status', '200'], ['content-type', 'application/grpc'])
/** Trailers with grpc-status 0. */
export const TRAILERS = headerBlock(['grpc-status', '0'])

/** A length-prefixed gRPC message. @param flag the compressed flag. */
export function message(bytes: Uint8Array | string, flag = 0): Buffer {
  const body = Buffer.from(bytes as string)
  return Buffer.concat([Buffer.from([flag]), uint32(body.length), body])
}

/** The frames of a successful response. @param first whether it is the first on the connection. */
export function response(streamId: number, text: string, first = true): Buffer {
  return Buffer.concat([
    frame(HEADERS, END_HEADERS, streamId, first ? Buffer.concat([SIZE_UPDATE, RESPONSE_HEADERS]) : RESPONSE_HEADERS),
    frame(DATA, 0, streamId, message(text)),
    frame(HEADERS, END_HEADERS | END_STREAM, streamId, TRAILERS),
  ])
}

/** One accepted connection. */
export class RawConnection {
  readonly socket: net.Socket
  readonly #events = new EventEmitter()
  /** All frames received. */
  readonly frames: Frame[] = []
  #bytes = Buffer.alloc(0)
  #position = 0
  #prefaceLength = 24
  closed = false

  constructor(socket: net.Socket) {
    this.socket = socket
    this.#events.setMaxListeners(0)
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#read(chunk as Buffer))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#events.emit('change')
    })
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.#bytes.length < this.#prefaceLength) return
    this.#bytes = this.#bytes.subarray(this.#prefaceLength)
    this.#prefaceLength = 0
    while (this.#bytes.length >= 9) {
      const length = this.#bytes.readUIntBE(0, 3)
      if (this.#bytes.length < 9 + length) break
      this.frames.push({
        type: this.#bytes[3] as number,
        flags: this.#bytes[4] as number,
        streamId: this.#bytes.readUInt32BE(5),
        payload: Buffer.from(this.#bytes.subarray(9, 9 + length)),
      })
      this.#bytes = this.#bytes.subarray(9 + length)
    }
    this.#events.emit('change')
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  /** Returns the next frame of a type and skips others. @returns undefined when the connection is closed. */
  async next(type: number, accepts: (frame: Frame) => boolean = () => true): Promise<Frame | undefined> {
    for (;;) {
      while (this.#position < this.frames.length) {
        const frame = this.frames[this.#position++] as Frame
        if (frame.type === type && accepts(frame)) return frame
      }
      if (this.closed) return undefined
      await once(this.#events, 'change')
    }
  }

  /** Waits for the client's SETTINGS, then sends its own and the acknowledgement. */
  async handshake(values: Record<number, number> = {}): Promise<void> {
    await this.next(SETTINGS)
    this.send(settings(values), frame(SETTINGS, ACK, 0))
  }

  /** @returns the stream id of the next request. */
  async request(): Promise<number> {
    const headers = await this.next(HEADERS)
    if (headers === undefined) throw new Error('The client closed the connection')
    return headers.streamId
  }

  /** Waits until the connection is closed. */
  async ended(): Promise<void> {
    await this.until(() => this.closed)
  }

  /** Waits until the condition is true; checks it at each received frame. @throws if the connection closes before. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.closed) throw new Error('The client closed the connection')
      await once(this.#events, 'change')
    }
  }
}

/** A server that accepts connections. */
export interface RawPeer {
  readonly port: number
  readonly address: string
  /** Waits for the next connection. */
  accept(): Promise<RawConnection>
  stop(): void
}

export async function startRawPeer(port = 0, host = '127.0.0.1'): Promise<RawPeer> {
  const accepted: RawConnection[] = []
  const events = new EventEmitter()
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    accepted.push(new RawConnection(socket))
    events.emit('connection')
  })
  server.listen(port, host)
  await once(server, 'listening')
  const bound = (server.address() as net.AddressInfo).port
  return {
    port: bound,
    address: `${host}:${bound}`,
    async accept() {
      while (accepted.length === 0) await once(events, 'connection')
      return accepted.shift() as RawConnection
    },
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
