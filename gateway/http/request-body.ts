/** The bodies of requests, which the codecs get as bytes. No body may have a Content-Encoding. */
import { context } from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError } from './http-errors.ts'

/** Leaves a JSON body as bytes for the codec. Rejects any other body with `unsupported_media_type`. */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (isEncoded(request)) done(new HttpError('unsupported_media_type'))
    else passOn(request, body, done)
  })
}

/** Leaves every body as bytes. Each route must check the media type itself, before the body is read. */
export function registerAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, passOn)
}

type PassOn = (error: Error | null, body?: unknown) => void

function passOn(request: FastifyRequest, body: string | Buffer, done: PassOn): void {
  // Node emits the body events outside of the asynchronous context of the request.
  context.with(request.trace.context, done, undefined, null, body)
}

/** Whether the request is one that `registerJsonBody` accepts. @throws HttpError `unsupported_media_type` */
export function assertJsonBody(request: FastifyRequest): void {
  const { 'content-type': type, 'content-length': length = '0', 'transfer-encoding': coding } = request.headers
  const hasBody = coding !== undefined || length !== '0'
  const isJson = type === undefined ? !hasBody : request.mediaType === 'application/json'
  if (!isJson || isEncoded(request)) throw new HttpError('unsupported_media_type')
}

/** Accepts any media type, and none. @throws HttpError `unsupported_media_type` */
export function assertRawBody(request: FastifyRequest): void {
  const isValid = request.headers['content-type'] === undefined || request.mediaType !== undefined
  if (!isValid || isEncoded(request)) throw new HttpError('unsupported_media_type', { detail: NOT_RAW })
}

const NOT_RAW =
  'Content-Type must be a media type, such as `application/octet-stream`, and the body must have no Content-Encoding.'

function isEncoded({ headers }: FastifyRequest): boolean {
  return (headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity'
}
