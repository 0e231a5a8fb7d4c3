import t from 'tap'
import { streamFormatOf } from '../../../gateway/transcoding/stream-format.ts'

const EVENT_STREAM = 'text/event-stream; charset=utf-8'
const NDJSON = 'application/x-ndjson; charset=utf-8'

const CASES: readonly [accept: string | undefined, contentType: string][] = [
  [undefined, NDJSON],
  ['', NDJSON],
  ['*/*', NDJSON],
  ['text/event-stream', EVENT_STREAM],
  ['Text/Event-Stream', EVENT_STREAM],
  ['text/event-stream, */*', EVENT_STREAM],
  ['text/event-stream;q=0.5', EVENT_STREAM],
  ['text/event-stream;q=0', NDJSON],
  ['text/event-stream;q=0.000', NDJSON],
  ['text/event-stream; charset=utf-8; Q=0', NDJSON],
  ['text/event-stream;q=0, */*', NDJSON],
  ['text/event-stream;q=0, text/*', NDJSON],
  ['text/*', EVENT_STREAM],
  ['text/event-stream;q=0.5, application/x-ndjson', NDJSON],
  ['text/event-stream, application/x-ndjson', EVENT_STREAM],
  ['application/x-ndjson;q=0.5, text/event-stream', EVENT_STREAM],
  ['application/x-ndjson;q=0, */*', EVENT_STREAM],
  ['application/json', NDJSON],
  ['text/event-stream-x', NDJSON],
]

for (const [accept, contentType] of CASES) {
  t.test(`Accept: ${accept} selects ${contentType}`, async t => {
    t.equal(streamFormatOf(accept).contentType, contentType)
  })
}
