import type { DescMessage } from '@bufbuild/protobuf'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { MAX_JSON_DEPTH } from '../../../../gateway/transcoding/binding/json-text.ts'
import { compileBinding } from '../../../../gateway/transcoding/binding/request-binding.ts'
import { buildContract } from '../../../support/contract.ts'
import { testRoute } from '../compiled/codec-pair.ts'

const tree = buildContract({
  'tree.proto': 'syntax = "proto3"; package tree; message Tree { string name = 1; Tree child = 2; }',
}).getMessage('tree.Tree') as DescMessage

t.test('a parameter leads as deep as a body may be, and no deeper', async t => {
  const bind = compileBinding(testRoute(tree, { variables: [], body: undefined }))
  const query = (depth: number) => `${'child.'.repeat(depth - 1)}name=x`
  t.match(bind({ pathValues: [], query: query(3), body: undefined }), { child: { child: { name: 'x' } } })
  t.ok(bind({ pathValues: [], query: query(MAX_JSON_DEPTH), body: undefined }))
  for (const depth of [MAX_JSON_DEPTH + 1, 2000]) {
    t.throws(() => bind({ pathValues: [], query: query(depth), body: undefined }), { code: Code.INVALID_ARGUMENT })
  }
})
