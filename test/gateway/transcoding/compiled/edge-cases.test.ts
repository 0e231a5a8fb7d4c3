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

for (const [what, cases] of Object.entries(REQUEST_CASES)) {
  t.test(`requests with ${what} are written as the reference does, or refused in the same words`, async t => {
    agree(t, cases, (pair, { body, query = '' }) => pair.encode({ pathValues: [], query, body, cookies: {} }))
  })
}

for (const [what, cases] of Object.entries(MESSAGE_CASES)) {
  t.test(`messages with ${what} are read as the reference does, or refused in the same words`, async t => {
    agree(t, cases, (pair, { message }) => pair.decode(Uint8Array.from(message)))
  })
}

/** Ends with the first case of which the two make something else. */
function agree<Case extends RequestCase | MessageCase>(
  t: Test,
  cases: readonly Case[],
  give: (pair: CodecPair, entry: Case) => void,
): void {
  const tally = newTally()
  const pairs = new Map<string, CodecPair>()
  for (const entry of cases) {
    const body = 'body' in entry ? '*' : undefined
    const key = `${entry.type} ${body}`
    const pair = pairs.get(key) ?? codecPair(testRoute(typeNamed(entry.type), { body }), contract, tally)
    pairs.set(key, pair)
    try {
      give(pair, entry)
    } catch (error) {
      t.fail(`${nameOf(entry)}: ${error}`)
      return
    }
  }
  t.comment(tally)
  t.ok(tally.refused > 0 && tally.withoutReference > 0, 'says something')
}

function nameOf(entry: RequestCase | MessageCase): string {
  const given =
    'message' in entry ? Buffer.from(entry.message).toString('hex') : (entry.body?.toString() ?? entry.query)
  return `${entry.type} ${given?.slice(0, 200)}`
}

t.test('a message nested deeper than a request can be is written as the reference does, or left to it', async t => {
  const schema = typeNamed('Nested')
  const write = messageEncoder(contract, schema)
  const differing: number[] = []
  let json: JsonValue = {}
  let left = 0
  for (let depth = 1; depth <= 250; depth++) {
    const value = json
    const writer = new WireWriter()
    const found = outcomeOf(() => write(writer, value, 1))
    const expected = outcomeOf(() => toBinary(schema, fromJson(schema, value)))
    if ('error' in found && isFallback(found.error)) left++
    else if (!isDeepStrictEqual(comparable({ result: writer.take() }), comparable(expected))) differing.push(depth)
    json = { single: json }
  }
  t.same(differing, [])
  t.ok(left < 250)
})
