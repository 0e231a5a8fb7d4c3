/** Translates a search query into PostgreSQL text search. Terms are parameters and never part of the SQL text. */
import { type RawBuilder, sql } from 'kysely'
import type { SearchQuery, SearchTerm } from './search-query.ts'

type TsQuery = RawBuilder<string>

/** The conditions of a search on a row of `documents`. A document matches if both hold. */
export interface SearchCondition {
  /** For ranking and highlighting. Empty if no term has a lexeme. */
  readonly query: TsQuery
  /** Decided by an index: the document has all words and tags, at any position. */
  readonly indexed: RawBuilder<boolean>
  /** Needs the row: phrases are adjacent, and nothing excluded occurs. Undefined if `indexed` is sufficient. */
  readonly recheck: RawBuilder<boolean> | undefined
}

/**
 * Stop words ("the") are ignored; a query of nothing else, without tags, matches no document. The tsquery functions
 * name their configuration, so that they are immutable and evaluated at planning time.
 */
export function toSearchCondition({ terms, tags, excludedTags }: SearchQuery): SearchCondition {
  const included = terms.filter(term => !term.isExcluded)
  const excluded = terms.filter(term => term.isExcluded)
  const words = all(included.map(term => toTsQuery(term.kind === 'phrase' ? { ...term, kind: 'words' } : term)))
  const query = excluded.reduce(
    (combined, term) => sql`(${combined} && !!${toTsQuery(term)})`,
    all(included.map(toTsQuery)),
  )
  const isIndexExact =
    excluded.length === 0 && excludedTags.length === 0 && included.every(({ kind }) => kind !== 'phrase')
  return {
    query,
    indexed:
      tags.length > 0
        ? sql`(tags @> ${[...tags]}::text[] and (numnode(${words}) = 0 or search @@ ${words}))`
        : sql`(numnode(${words}) > 0 and search @@ ${words})`,
    recheck: isIndexExact
      ? undefined
      : sql`(not tags && ${[...excludedTags]}::text[] and (numnode(${query}) = 0 or search @@ ${query}))`,
  }
}

// The identity of `&&`.
const EMPTY: TsQuery = sql`''::tsquery`

function all([first, ...others]: readonly TsQuery[]): TsQuery {
  return first === undefined ? EMPTY : others.reduce((combined, next) => sql`(${combined} && ${next})`, first)
}

function toTsQuery({ kind, text }: SearchTerm): TsQuery {
  if (kind === 'prefix') return prefixQuery(`${quoted(text)}:*`)
  return kind === 'phrase' ? sql`phraseto_tsquery('english', ${text})` : sql`plainto_tsquery('english', ${text})`
}

/** Matches the unstemmed prefix too, because stemming changes prefixes: `the*` must match "theory". */
function prefixQuery(operand: string): TsQuery {
  return sql`(to_tsquery('english', ${operand}) || to_tsquery('simple', ${operand}))`
}

/** A quoted operand of `to_tsquery` (PostgreSQL manual, section 8.11.2) for arbitrary text. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
