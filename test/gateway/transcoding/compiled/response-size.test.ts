import type { DescMessage } from '@bufbuild/protobuf'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { buildContract } from '../../../support/contract.ts'
import { testRoute } from './codec-pair.ts'

const contract = buildContract({
  'wide.proto': `
    syntax = "proto3";
    package wide.v1;
    message Response { repeated Wide list = 1; map<int32, Wide> map = 2; }
    message Wide { ${Array.from({ length: 50 }, (_, at) => `int32 a_rather_long_name_${at} = ${at + 1};`).join(' ')} }`,
})
const response = contract.getMessage('wide.v1.Response') as DescMessage
const { decode } = createCompiledCodec(testRoute(response, {}), contract)

/** A list of empty messages, each of which becomes 1,500 characters of JSON. */
const listOf = (count: number) => Buffer.from([0x0a, 0]).toString('latin1').repeat(count)
/** A map with the same values. */
const mapOf = (count: number) =>
  Array.from({ length: count }, (_, key) =>
    String.fromCharCode(0x12, 4, 0x08, 0x80 | (key & 0x7f), 0x80 | ((key >> 7) & 0x7f), key >> 14),
  ).join('')

t.test('a small message that would become very long JSON is rejected before the JSON is built', async t => {
  for (const message of [listOf(1_000_000), mapOf(200_000)]) {
    t.throws(() => decode(Buffer.from(message, 'latin1')), {
      code: Code.RESOURCE_EXHAUSTED,
      reason: 'upstream_answer_too_large',
    })
  }
  t.equal(JSON.parse(decode(Buffer.from(listOf(20_000), 'latin1')).body as string).list.length, 20_000)
})
