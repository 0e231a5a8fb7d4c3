import { isDeepStrictEqual } from 'node:util'
import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { isFallback } from '../../../../gateway/transcoding/compiled/fallback.ts'
import { messageEncoder } from '../../../../gateway/transcoding/compiled/message-codecs.ts'
import { WireWriter } from '../../../../gateway/transcoding/compiled/wire-writer.ts'
import { type CodecPair, codecPair, newTally, testRoute } from './codec-pair.ts'
import { comparable, outcomeOf } from './comparing-codec.ts'
import { contract, typeNamed } from './edge-case-contract.ts'
import { MESSAGE_CASES, type MessageCase } from './edge-case-messages.ts'
import { REQUEST_CASES, type RequestCase } from './edge-case-requests.ts'

for (const [title, cases] of Object.entries(REQUEST_CASES)) {
  t.test(`both codecs agree on requests with ${title}`, async t => {
    compare(t, cases, (pair, { body, query = '' }) => pair.encode({ pathValues: [], query, body, cookies: {} }))
  })
}

for (const [title, cases] of Object.entries(MESSAGE_CASES)) {
  t.test(`both codecs agree on messages with ${title}`, async t => {
    compare(t, cases, (pair, { message }) => pair.decode(Uint8Array.from(message)))
  })
}

/** Compares the codecs on all cases. Stops at the first difference. */
function compare<Case extends RequestCase | MessageCase>(
  t: Test,
  cases: readonly Case[],
  convert: (pair: CodecPair, entry: Case) => void,
): void {
  const tally = newTally()
  const pairs = new Map<string, CodecPair>()
  for (const entry of cases) {
    const body = 'body' in entry ? '*' : undefined
    const key = `${entry.type} ${body}`
    const pair = pairs.get(key) ?? codecPair(testRoute(typeNamed(entry.type), { body }), contract, tally)
    pairs.set(key, pair)
    try {
      convert(pair, entry)
    } catch (error) {
      t.fail(`${nameOf(entry)}: ${error}`)
      return
    }
  }
  t.comment(tally)
  t.ok(tally.rejected > 0, `${tally.rejected} cases are rejected`)
  t.ok(tally.withoutFallback > 0, `${tally.withoutFallback} cases need no fallback`)
}

function nameOf(entry: RequestCase | MessageCase): string {
  const input =
    'message' in entry ? Buffer.from(entry.message).toString('hex') : (entry.body?.toString() ?? entry.query)
  return `${entry.type} ${input?.slice(0, 200)}`
}

t.test('messages nested up to 250 levels are encoded as by @bufbuild/protobuf, or fall back', async t => {
  const schema = typeNamed('Nested')
  const write = messageEncoder(contract, schema)
  const differing: number[] = []
  let json: JsonValue = {}
  let fallbacks = 0
  for (let depth = 1; depth <= 250; depth++) {
    const value = json
    const writer = new WireWriter()
    const actual = outcomeOf(() => write(writer, value, 1))
    const expected = outcomeOf(() => toBinary(schema, fromJson(schema, value)))
    if ('error' in actual && isFallback(actual.error)) fallbacks++
    else if (!isDeepStrictEqual(comparable({ result: writer.take() }), comparable(expected))) differing.push(depth)
    json = { single: json }
  }
  t.same(differing, [])
  t.ok(fallbacks < 250, `${fallbacks} of 250 fall back`)
})
