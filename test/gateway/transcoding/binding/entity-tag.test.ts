import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { hasTag, parseIfMatch, quoteTag } from '../../../../gateway/transcoding/binding/entity-tag.ts'
import { assertProperty } from '../../../support/property.ts'

const arbitraryTag = fc.stringMatching(/^[\x21\x23-\x7e\x80-\xff]{0,8}$/)

t.test('parseIfMatch and hasTag read the tags of a list with any spacing', async t => {
  await assertProperty(
    t,
    fc.property(fc.array(arbitraryTag, { minLength: 1 }), fc.stringMatching(/^[ \t]{0,2}$/), (tags, space) => {
      const header = tags.map(tag => `${space}"${tag}"${space}`).join(',')
      return isDeepStrictEqual(parseIfMatch(header), tags) && tags.every(tag => hasTag(header, tag))
    }),
  )
})

t.test('a weak tag matches in If-None-Match but not in If-Match', async t => {
  t.same(parseIfMatch('W/"a", "b"'), ['b'])
  t.same(parseIfMatch('W/"a"'), [''], 'If-Match with only weak tags is a condition that no resource meets')
  t.ok(hasTag('W/"a", "b"', 'a'))
  t.notOk(hasTag('"ab"', 'a'))
})

t.test('* matches every tag', async t => {
  t.same(parseIfMatch(' * '), ['*'])
  t.ok(hasTag('*', 'a'))
})

t.test('a malformed list of tags is a violation of If-Match and matches nothing in If-None-Match', async t => {
  for (const header of ['', ' ', 'a', '"a', 'a"', '"a" "b"', '"a",b', '*, "a"', 'w/"a"', '"a b"', '"a"x']) {
    t.throws(() => parseIfMatch(header), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'If-Match' }] }, header)
    t.notOk(hasTag(header, 'a'), header)
  }
})

t.test('quoteTag returns undefined for a tag that a header cannot carry', async t => {
  t.equal(quoteTag('a-1'), '"a-1"')
  for (const tag of ['a"b', 'a b', 'a\n', 'ā']) t.equal(quoteTag(tag), undefined)
})
