/** An HTTP/1.1 client that sends exactly the bytes of a test, and a parser of what it receives. */
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

/** One response as it was received. Header names are in lower case. */
export interface WireResponse {
  status: number
  headers: Record<string, string>
  body: string
}

/** Opens a connection that does not close its side when the server closes the other one. */
export function openWire(port: number): Socket {
  return connect({ port, host: '127.0.0.1', allowHalfOpen: true })
}

/** Sends `bytes` on a new connection. Returns all responses when the server has closed the connection. */
export async function exchange(port: number, bytes: string): Promise<WireResponse[]> {
  const socket = openWire(port)
  socket.write(bytes)
  return readResponses(socket)
}

/** Reads until the server closes the connection. @throws if the bytes are not a sequence of responses. */
export async function readResponses(socket: Socket): Promise<WireResponse[]> {
  const received = await text(socket).finally(() => socket.destroy())
  return parseResponses(received)
}

/** @throws if `received` is not a sequence of responses with Content-Length or chunked bodies. */
export function parseResponses(received: string): WireResponse[] {
  const responses: WireResponse[] = []
  for (let rest = received; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n')
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n')
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(statusLine) ?? []
    if (end === -1 || status === undefined) throw new Error(`Not a response: ${JSON.stringify(rest.slice(0, 200))}`)
    const headers = Object.fromEntries(
      lines.map(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    rest = rest.slice(end + 4)
    let body = ''
    if (headers['transfer-encoding'] === 'chunked') {
      for (;;) {
        const [, size] = /^([0-9a-f]+)\r\n/.exec(rest) ?? []
        if (size === undefined) throw new Error(`Not a chunk: ${JSON.stringify(rest.slice(0, 200))}`)
        const start = size.length + 2
        const length = Number.parseInt(size, 16)
        body += rest.slice(start, start + length)
        rest = rest.slice(start + length + 2)
        if (length === 0) break
      }
    } else {
      const length = Number(headers['content-length'] ?? 0)
      body = rest.slice(0, length)
      rest = rest.slice(length)
    }
    if (Number(status) >= 200) responses.push({ status: Number(status), headers, body })
  }
  return responses
}
