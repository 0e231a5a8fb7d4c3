/**
 * PostgreSQL's `ts_headline` encloses matches in markers; the response carries matched and unmatched text as separate
 * parts, so that a client needs no markup parser.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Piece } from '#proto/search/v1/search.ts'

/**
 * Control characters, which titles cannot contain and which are removed from bodies before highlighting. `lessThan`
 * replaces `<`, because `ts_headline` omits text that looks like an XML tag.
 */
const MARKERS = { start: '\u0001', stop: '\u0002', lessThan: '\u0003' } as const

const SELECTORS = `StartSel=${MARKERS.start}, StopSel=${MARKERS.stop}`
const WHOLE_TEXT = `${SELECTORS}, HighlightAll=true`
const SNIPPETS = `${SELECTORS}, MaxFragments=2, MaxWords=30, MinWords=12, FragmentDelimiter=" … "`

/** The whole text, with markers around each match of `query` (a tsquery). */
export function highlight(text: RawBuilder<string>, query: RawBuilder<string>): RawBuilder<string> {
  return sql`ts_headline('english', ${escaped(text)}, ${query}, ${WHOLE_TEXT})`
}

/** At most two snippets of 12 to 30 words around matches, or the beginning of the text if nothing matches. */
export function highlightSnippets(text: RawBuilder<string>, query: RawBuilder<string>): RawBuilder<string> {
  return sql`ts_headline('english', ${escaped(text)}, ${query}, ${SNIPPETS})`
}

/** Splits marked text into matched and unmatched parts, without empty ones. Joined, the parts are the original text. */
export function parseHighlights(marked: string): Piece[] {
  const text = marked.replaceAll(MARKERS.lessThan, '<')
  const [before = '', ...rest] = text.split(MARKERS.start)
  const parts = rest.flatMap(part => {
    const [match = '', after = ''] = part.split(MARKERS.stop)
    return [
      { text: match, isMatch: true },
      { text: after, isMatch: false },
    ]
  })
  return [{ text: before, isMatch: false }, ...parts].filter(part => part.text !== '')
}

const escaped = (text: RawBuilder<string>) =>
  sql<string>`translate(${text}, ${`<${Object.values(MARKERS).join('')}`}, ${MARKERS.lessThan})`
