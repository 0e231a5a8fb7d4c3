/**
 * The language of a search: words that must all be there, "phrases in quotes", begin* for the beginning of a word, -word
 * for one that must not be there, tag:name and tag:"two words". Any text is a query; what is not closed ends at the end.
 */
export interface SearchTerm {
  readonly kind: 'words' | 'phrase' | 'prefix'
  readonly text: string
  readonly isExcluded: boolean
}

export interface SearchQuery {
  readonly terms: readonly SearchTerm[]
  /** The document has all of these. */
  readonly tags: readonly string[]
  /** The document has none of these. */
  readonly excludedTags: readonly string[]
}

// One thing of a query: a minus, what it is, and its text in quotes or up to the next space.
const THING = /(-?)(tag:)?(?:"([^"]*)"?|([^\s"]+))/gu

export function parseSearchQuery(text: string): SearchQuery {
  const terms: SearchTerm[] = []
  const tags: string[] = []
  const excludedTags: string[] = []
  for (const [, minus, tag, quoted, bare] of text.matchAll(THING)) {
    const isExcluded = minus === '-'
    const content = (quoted ?? bare ?? '').trim()
    const word = content.replace(/\*+$/, '')
    if (word === '') continue
    if (tag !== undefined) (isExcluded ? excludedTags : tags).push(content)
    else if (quoted !== undefined) terms.push({ kind: 'phrase', text: content, isExcluded })
    else terms.push({ kind: word === content ? 'words' : 'prefix', text: word, isExcluded })
  }
  return { terms, tags, excludedTags }
}

/** Whether it says what to look for, and not only what to leave out. */
export function looksForSomething({ terms, tags }: SearchQuery): boolean {
  return tags.length > 0 || terms.some(term => !term.isExcluded)
}
