import { context } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'
import { HttpError } from './http-errors.ts'

/** Leaves a JSON body as bytes for the codec. Rejects any other body with `unsupported_media_type`. */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const encoding = request.headers['content-encoding'] ?? 'identity'
    // Node emits the body events outside of the asynchronous context of the request.
    if (encoding.toLowerCase() === 'identity') context.with(request.trace.context, done, undefined, null, body)
    else done(new HttpError('unsupported_media_type'))
  })
}
