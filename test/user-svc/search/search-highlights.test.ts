import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Piece } from '#proto/search/v1/search.ts'
import { highlight, highlightSnippets } from '../../../user-svc/search/search-highlights.ts'
import { assertProperty } from '../../support/property.ts'

/** The parts as text, matches in brackets. */
const marked = (pieces: readonly Piece[]) => pieces.map(({ text, isMatch }) => (isMatch ? `[${text}]` : text)).join('')

t.test('matched words are highlighted in the text as it is written', async t => {
  const rows: [text: string, matched: string[], expected: string][] = [
    ['Of foo.png', ['foo'], 'Of [foo].png'],
    ['“Wonderful” — truly…', ['wonderful', 'truly'], '“[Wonderful]” — [truly]…'],
    ['DS-7604NI', ['7604ni', 'ds'], '[DS]-[7604NI]'],
    ['CAFÉ cafe\u0301', ['café'], '[CAFÉ] [cafe\u0301]'],
    ['ΣΟΦΟΣ σοφος', ['σοφοσ'], '[ΣΟΦΟΣ] [σοφος]'],
    ['co\u00adoperate', ['cooperate'], '[co\u00adoperate]'],
    ['foobar', ['foo'], 'foobar'],
    ['', ['foo'], ''],
  ]
  for (const [text, matched, expected] of rows) t.equal(marked(highlight(text, new Set(matched))), expected, text)
})

t.test('snippets have at most 30 words, the most distinct matches first, in the order of the text', async t => {
  const filler = (count: number) => 'other words '.repeat(count / 2).trim()
  t.equal(marked(highlightSnippets('One two.', new Set())), 'One two.')
  t.equal(marked(highlightSnippets(filler(50), new Set())), filler(12))
  t.equal(
    marked(highlightSnippets(`${filler(40)} red, ${filler(40)}`, new Set(['red']))),
    `${filler(8)} [red], ${filler(20)} other`,
  )
  const text = `red ${filler(60)} blue ${filler(60)} red blue. ${filler(60)} blue`
  t.equal(
    marked(highlightSnippets(text, new Set(['red', 'blue']))),
    `[red] ${filler(28)} other … ${filler(8)} [red] [blue]. ${filler(20)}`,
  )
  t.equal(marked(highlightSnippets(`${filler(40)} red!`, new Set(['red']))), `words ${filler(28)} [red]!`)
})

t.test('the parts of a text, joined, are the text; the matches are the matched words', async t => {
  await assertProperty(
    t,
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (before, after) => {
      const text = `${before} wheat,${after}`
      const pieces = highlight(text, new Set(['wheat']))
      assert.equal(pieces.map(piece => piece.text).join(''), text)
      assert.ok(pieces.some(piece => piece.isMatch && piece.text === 'wheat'))
      assert.ok(pieces.every(piece => piece.text !== ''))
    }),
  )
})
