import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { DynamicTable } from '../../../../gateway/upstream/http2/hpack/dynamic-table.ts'
import { writeInteger } from '../../../../gateway/upstream/http2/hpack/encoder.ts'
import {
  createResponseHeaderReader,
  type ResponseHeaderReader,
} from '../../../../gateway/upstream/http2/response-headers.ts'
import { headerBlock, RESPONSE_HEADERS, TRAILERS } from '../../../support/grpc-peers/raw-peer.ts'

const LIMIT = 1000

// Few enough values to repeat, and more than a reader caches.
const text = fc.stringMatching(/^[abc]{6}$/)

t.test('a cached block decodes to the same headers as with a new reader', async t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.nat(20)), { maxLength: 400, size: 'max' }), messages => {
      const reader = createResponseHeaderReader(LIMIT)
      const table = new DynamicTable()
      // One buffer for all reads, as a socket uses.
      const bytes = Buffer.alloc(200)
      return messages.every(([text, start]) => {
        const block = Buffer.concat([RESPONSE_HEADERS, TRAILERS, headerBlock(['grpc-message', text])])
        const end = start + block.copy(bytes, start)
        const fresh = createResponseHeaderReader(LIMIT).read(block, 0, block.length, new DynamicTable())
        return isDeepStrictEqual(reader.read(bytes, start, end, table), fresh)
      })
    }),
  )
  t.pass()
})

const step = fc.oneof(
  fc.record({ insert: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ index: fc.nat(4) }),
  fc.record({ resize: fc.constantFrom(0, 100, 4096) }),
)

t.test('connections that share a cache read blocks with their own dynamic tables', async t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), step), { maxLength: 100, size: 'max' }), steps => {
      const shared = createResponseHeaderReader(LIMIT)
      const connections = [new DynamicTable(), new DynamicTable()]
      const expected = [new DynamicTable(), new DynamicTable()]
      return steps.every(([connection, step]) => {
        const block = blockOf(step)
        const read = (reader: ResponseHeaderReader, tables: DynamicTable[]) => {
          try {
            return reader.read(block, 0, block.length, tables[connection] as DynamicTable)
          } catch (error) {
            return (error as Error).message
          }
        }
        const uncached = read(createResponseHeaderReader(LIMIT), expected)
        return isDeepStrictEqual(read(shared, connections), uncached)
      })
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

function blockOf(step: { insert: string } | { index: number } | { resize: number }): Buffer {
  if ('index' in step) return Buffer.from([0x80 | (62 + step.index)])
  if ('insert' in step)
    return Buffer.concat([Buffer.from([0x40]), headerBlock(['grpc-message', step.insert]).subarray(1)])
  const update = Buffer.alloc(4)
  return update.subarray(0, writeInteger(update, 0, 5, 0x20, step.resize))
}
