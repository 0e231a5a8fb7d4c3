import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { parseSearchQuery, type SearchQuery } from '../../../user-svc/search/search-query.ts'
import { assertProperty } from '../../support/property.ts'

t.test('a query is parsed into words, phrases, prefixes, exclusions and tags', async t => {
  const term = (kind: string, text: string, isExcluded = false) => ({ kind, text, isExcluded })
  t.strictSame(parseSearchQuery('blue "red green" yel* -grey -"dark red" -bl* tag:a tag:"two words" -tag:b'), {
    terms: [
      term('words', 'blue'),
      term('phrase', 'red green'),
      term('prefix', 'yel'),
      term('words', 'grey', true),
      term('phrase', 'dark red', true),
      term('prefix', 'bl', true),
    ],
    tags: ['a', 'two words'],
    excludedTags: ['b'],
  })
})

t.test('an unclosed quotation mark extends to the end, and empty terms are ignored', async t => {
  t.match(parseSearchQuery('"red green'), { terms: [{ kind: 'phrase', text: 'red green' }] })
  for (const text of ['', '  ', '-', '""', '" "', '*', '-**', 'tag:""', '- "" *'])
    t.strictSame(parseSearchQuery(text).tags, [], text)
  t.strictSame(parseSearchQuery('"" * -""'), { terms: [], tags: [], excludedTags: [] })
})

const word = fc.stringMatching(/^[a-zé0-9]{1,6}$/)
const PLAIN = { noNullPrototype: true }
const anyQuery: fc.Arbitrary<SearchQuery> = fc.record(
  {
    terms: fc.array(
      fc.oneof(
        fc.record(
          { kind: fc.constantFrom('words' as const, 'prefix' as const), text: word, isExcluded: fc.boolean() },
          PLAIN,
        ),
        fc.record(
          {
            kind: fc.constant('phrase' as const),
            text: fc.array(word, { minLength: 1, maxLength: 3 }).map(words => words.join(' ')),
            isExcluded: fc.boolean(),
          },
          PLAIN,
        ),
      ),
    ),
    tags: fc.array(word),
    excludedTags: fc.array(word),
  },
  PLAIN,
)

function format({ terms, tags, excludedTags }: SearchQuery): string {
  const formatted = terms.map(({ kind, text, isExcluded }) => {
    const plain = kind === 'phrase' ? `"${text}"` : kind === 'prefix' ? `${text}*` : text
    return isExcluded ? `-${plain}` : plain
  })
  return [...formatted, ...tags.map(tag => `tag:"${tag}"`), ...excludedTags.map(tag => `-tag:${tag}`)].join(' ')
}

t.test('parsing the text form of a query returns the query', async t => {
  await assertProperty(
    t,
    fc.property(anyQuery, query => assert.deepEqual(parseSearchQuery(format(query)), query)),
  )
})

t.test('any text parses to a query without empty terms', async t => {
  await assertProperty(
    t,
    fc.property(fc.string({ unit: 'binary' }), text => {
      const { terms, tags, excludedTags } = parseSearchQuery(text)
      for (const part of [...terms.map(term => term.text), ...tags, ...excludedTags]) assert.notEqual(part.trim(), '')
    }),
  )
})
