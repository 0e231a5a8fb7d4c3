import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { hasTag, parseIfMatch, quoteTag } from '../../../../gateway/transcoding/binding/entity-tag.ts'

const anyTag = fc.stringMatching(/^[\x21\x23-\x7e\x80-\xff]{0,8}$/)

t.test('the tags of a list are read as they were written, in any spacing', async () => {
  fc.assert(
    fc.property(fc.array(anyTag, { minLength: 1 }), fc.stringMatching(/^[ \t]{0,2}$/), (tags, space) => {
      const header = tags.map(tag => `${space}"${tag}"${space}`).join(',')
      assert.deepEqual(parseIfMatch(header), tags)
      for (const tag of tags) assert.ok(hasTag(header, tag))
    }),
  )
})

t.test('a weak tag is the same as another in If-None-Match only', async t => {
  t.same(parseIfMatch('W/"a", "b"'), ['b'])
  t.same(parseIfMatch('W/"a"'), [''], 'a condition that nothing meets is still one')
  t.ok(hasTag('W/"a", "b"', 'a'))
  t.notOk(hasTag('"ab"', 'a'))
})

t.test('a star is any, and stands alone', async t => {
  t.same(parseIfMatch(' * '), ['*'])
  t.ok(hasTag('*', 'whatever'))
})

t.test('what is no list of tags is refused by name in If-Match, and matches nothing in If-None-Match', async t => {
  for (const header of ['', ' ', 'a', '"a', 'a"', '"a" "b"', '"a",b', '*, "a"', 'w/"a"', '"a b"', '"a"x']) {
    t.throws(() => parseIfMatch(header), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'If-Match' }] }, header)
    t.notOk(hasTag(header, 'a'), header)
  }
})

t.test('a tag that cannot stand in a header is not sent', async t => {
  t.equal(quoteTag('a-1'), '"a-1"')
  for (const tag of ['a"b', 'a b', 'a\n', 'ā']) t.equal(quoteTag(tag), undefined)
})
