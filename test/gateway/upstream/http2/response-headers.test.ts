import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { createResponseHeaderReader } from '../../../../gateway/upstream/http2/response-headers.ts'
import { headerBlock, RESPONSE_HEADERS, TRAILERS } from '../../../support/grpc-peers/raw-peer.ts'

const LIMIT = 1000

// Few enough values to repeat, and more than a reader caches.
const text = fc.stringMatching(/^[abc]{6}$/)

t.test('a cached block decodes to the same headers as with a new reader', async t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.nat(20)), { maxLength: 400, size: 'max' }), messages => {
      const reader = createResponseHeaderReader(LIMIT)
      // One buffer for all reads, as a socket uses.
      const bytes = Buffer.alloc(200)
      return messages.every(([text, start]) => {
        const block = Buffer.concat([RESPONSE_HEADERS, TRAILERS, headerBlock(['grpc-message', text])])
        const end = start + block.copy(bytes, start)
        const fresh = createResponseHeaderReader(LIMIT).read(block, 0, block.length)
        return isDeepStrictEqual(reader.read(bytes, start, end), fresh)
      })
    }),
  )
  t.pass()
})
