/**
 * The search language:
 *
 *   word          the document contains the word; words joined by punctuation are a phrase
 *   "two words"   the words occur next to each other, in this order
 *   prefix*       a word begins with the prefix
 *   tag:name      the document has the tag; tag:"two words" for a tag with spaces
 *   -term         excludes documents that match the term, which is any of the above
 *
 * All terms must hold. Every text is a valid query: an unclosed quotation mark extends to the end of the text.
 */

/** One term of a query that is matched against title and body. */
export interface SearchTerm {
  readonly kind: 'words' | 'phrase' | 'prefix'
  /** The text without quotation marks, minus sign and asterisk. */
  readonly text: string
  readonly isExcluded: boolean
}

export interface SearchQuery {
  readonly terms: readonly SearchTerm[]
  readonly tags: readonly string[]
  readonly excludedTags: readonly string[]
}

// Groups: minus sign, `tag:`, quoted text, and text up to the next space or quotation mark.
const TOKEN = /(-?)(tag:)?(?:"([^"]*)"?|([^\s"]+))/gu

/** Parses a query. Never fails; tokens without text are ignored. */
export function parseSearchQuery(text: string): SearchQuery {
  const terms: SearchTerm[] = []
  const tags: string[] = []
  const excludedTags: string[] = []
  for (const [, minus, tag, quoted, bare] of text.matchAll(TOKEN)) {
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

/** Whether at least one term or tag is not excluded. */
export function hasIncludedTerm({ terms, tags }: SearchQuery): boolean {
  return tags.length > 0 || terms.some(term => !term.isExcluded)
}
