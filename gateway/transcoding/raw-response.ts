/** The responses with a raw body (contract/http-body.ts): their headers, and the body of a stream of them. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Route } from '../contract/route-table.ts'
import { isMediaType } from '../http/media-type.ts'
import type { DecodedResponse } from './codec.ts'

const DEFAULT_TYPE = 'application/octet-stream'

type RawBody = Pick<DecodedResponse, 'body' | 'contentType'>

/**
 * Sets the headers of a raw body.
 * @param contentType of the upstream. `application/octet-stream` is sent if it is empty, or not a media type.
 */
export type SetRawHeaders = (request: FastifyRequest, reply: FastifyReply, contentType: string | undefined) => void

/** An invalid type is logged once for a route: the upstream may send it with every response. */
export function createRawHeaders({ name, upstream }: Pick<Route, 'name' | 'upstream'>): SetRawHeaders {
  let hasWarned = false
  return (request, reply, contentType = '') => {
    const isValid = isMediaType(contentType)
    if (!isValid && contentType !== '' && !hasWarned) {
      hasWarned = true
      const facts = { upstream, method: name, contentType: contentType.slice(0, 200) }
      request.log.warn(facts, `content_type is not a media type; ${DEFAULT_TYPE} is sent, for later responses as well`)
    }
    // Each call of the upstream may return other content, so parts of several responses must not be combined.
    reply.header('accept-ranges', 'none').header('content-type', isValid ? contentType : DEFAULT_TYPE)
  }
}

export interface RawStreamOptions {
  /** Encoded messages. The body returns the generator when it ends. */
  readonly messages: AsyncGenerator<Uint8Array, void, void>
  readonly decode: (message: Uint8Array) => RawBody
  /** Called with the content type of the first message before `startRawStream` resolves. */
  readonly onStart: (contentType: string | undefined) => void
  /** Called if the stream fails after its first message. Must abort the response. */
  readonly onError: (error: unknown) => void
}

/**
 * Waits for the first message, whose content type is that of the response; that of later ones is ignored. The next message
 * is read after the previous one was consumed.
 * @throws the error of the call if it fails before its first message.
 */
export async function startRawStream(options: RawStreamOptions): Promise<AsyncGenerator<Uint8Array, void, void>> {
  const { messages, decode, onStart } = options
  const result = await messages.next()
  const first: RawBody = result.done === true ? { body: '' } : decode(result.value)
  onStart(first.contentType)
  return generateBody(options, first)
}

async function* generateBody(
  { messages, decode, onError }: RawStreamOptions,
  first: RawBody,
): AsyncGenerator<Uint8Array, void> {
  try {
    // Node sends the headers with the first chunk, even if it is empty.
    yield bytesOf(first)
    for await (const message of messages) {
      const bytes = bytesOf(decode(message))
      if (bytes.length > 0) yield bytes
    }
  } catch (error) {
    onError(error)
  } finally {
    await messages.return()
  }
}

function bytesOf({ body }: RawBody): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body
}

/**
 * Aborts a response whose headers are sent, so that the client sees that its body is incomplete: the last chunk is missing.
 * A response in HTTP/1.0 ends with its connection, which is reset instead.
 */
export function abortResponse({ raw }: FastifyReply): void {
  if (raw.req.httpVersionMinor === 0) raw.socket?.resetAndDestroy()
  raw.destroy()
}
