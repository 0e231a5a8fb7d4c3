/**
 * Splits texts at the words that match a query. The response carries matched and unmatched text as separate parts, so
 * that a client needs no markup parser.
 *
 * PostgreSQL's `ts_headline` is not used: its parser depends on the locale of the database and does not split at
 * punctuation. The function `matched_words` returns the words of a text that match; this file finds them in the text.
 */
import type { Piece } from '#proto/search/v1/search.ts'

/** Words in a snippet: at most, and at most before its first match. */
const SNIPPET_WORDS = 30
const LEADING_WORDS = 8
const MAX_SNIPPETS = 2
/** Words of the excerpt of a body without a match. */
const OPENING_WORDS = 12

/** Splits a text into matched and unmatched parts, without empty ones. Joined, the parts are the text. */
export function highlight(text: string, matched: ReadonlySet<string>): Piece[] {
  return highlightRange(text, wordsOf(text, matched), 0, text.length)
}

/**
 * Returns at most two snippets of at most 30 words with the most distinct matches, separated by ` … `, or the first 12
 * words of the text if nothing matches. Control characters other than white space are removed.
 */
export function highlightSnippets(source: string, matched: ReadonlySet<string>): Piece[] {
  const text = source.replaceAll(/[^\P{Cc}\s]/gu, '')
  const words = wordsOf(text, matched)
  const snippets = chooseSnippets(words)
  return snippets.flatMap(({ from, to }, index) => {
    // The text before the first word and behind the last one belongs to them.
    const start = from === 0 ? 0 : (words[from]?.start ?? 0)
    const end = to >= words.length ? text.length : (words[to - 1]?.end ?? text.length)
    const pieces = highlightRange(text, words.slice(from, to), start, end)
    return index === 0 ? pieces : [{ text: ' … ', isMatch: false }, ...pieces]
  })
}

interface Word {
  readonly start: number
  readonly end: number
  /** The normalized word if it matches, else undefined. */
  readonly match: string | undefined
}

/** A range of words, without `to`. */
interface Snippet {
  readonly from: number
  readonly to: number
}

// The separators of `search_words`; a soft hyphen is part of a word, a diacritic on a separator is not.
const WORD = /(?!\p{M})(?:[^\p{P}\p{S}\p{Z}\p{C}\p{Variation_Selector}]|\u00ad)+/gu

function wordsOf(text: string, matched: ReadonlySet<string>): Word[] {
  return Array.from(text.matchAll(WORD), ({ 0: word, index }) => {
    const normalized = normalize(word)
    return { start: index, end: index + word.length, match: matched.has(normalized) ? normalized : undefined }
  })
}

/** The form of `search_words`, whose case folding unites `ς` and `σ` and maps each character to one. */
function normalize(word: string): string {
  const folded = word.normalize('NFKC').replaceAll('\u00ad', '').toLowerCase()
  return folded.replaceAll('ς', 'σ').replaceAll('i\u0307', 'i')
}

function chooseSnippets(words: readonly Word[]): Snippet[] {
  const chosen: Snippet[] = []
  const isFree = ({ from, to }: Snippet) => chosen.every(other => to <= other.from || from >= other.to)
  const candidates = words.flatMap(({ match }, index) => (match === undefined ? [] : [rateSnippet(words, index)]))
  for (const candidate of candidates.sort((a, b) => b.matches - a.matches || a.from - b.from)) {
    if (chosen.length === MAX_SNIPPETS) break
    if (isFree(candidate)) chosen.push(candidate)
  }
  if (chosen.length === 0) chosen.push({ from: 0, to: OPENING_WORDS })
  return chosen.sort((a, b) => a.from - b.from)
}

/** The snippet around a match, and how many distinct words in it match. */
function rateSnippet(words: readonly Word[], first: number): Snippet & { matches: number } {
  const to = Math.min(words.length, Math.max(0, first - LEADING_WORDS) + SNIPPET_WORDS)
  const from = Math.max(0, Math.min(first - LEADING_WORDS, to - SNIPPET_WORDS))
  const matches = new Set(words.slice(first, to).flatMap(({ match }) => match ?? [])).size
  return { from, to, matches }
}

function highlightRange(text: string, words: readonly Word[], start: number, end: number): Piece[] {
  const pieces: Piece[] = []
  let position = start
  for (const word of words) {
    if (word.match === undefined) continue
    pieces.push({ text: text.slice(position, word.start), isMatch: false })
    pieces.push({ text: text.slice(word.start, word.end), isMatch: true })
    position = word.end
  }
  pieces.push({ text: text.slice(position, end), isMatch: false })
  return pieces.filter(piece => piece.text !== '')
}
