/** A search as PostgreSQL's text search has it. Each term is a parameter: none is ever part of a statement. */
import { type RawBuilder, sql } from 'kysely'
import type { SearchQuery, SearchTerm } from './search-query.ts'

type TsQuery = RawBuilder<string>

export interface SearchCondition {
  /** For ranks and marks. Empty when no term has a lexeme. */
  readonly query: TsQuery
  /** What the index of words tells by itself: every word is there, wherever. On a row of `documents`. */
  readonly hasWords: RawBuilder<boolean>
  /** What only the document tells: that phrases stand together, and that nothing excluded is there. */
  readonly holds: RawBuilder<boolean> | undefined
}

/**
 * Stop words ("the") have no lexeme and are passed over. Where nothing but they is wanted, nothing is found, rather than
 * everything; tags are wanted too. PostgreSQL works all of this out when it plans: the functions are immutable, given
 * the name of their configuration.
 */
export function conditionOf({ terms, tags, excludedTags }: SearchQuery): SearchCondition {
  const wanted = terms.filter(term => !term.isExcluded)
  const excluded = terms.filter(term => term.isExcluded)
  const words = all(wanted.map(term => toTsQuery(term.kind === 'phrase' ? { ...term, kind: 'words' } : term)))
  const query = excluded.reduce((so, term) => sql`(${so} && !!${toTsQuery(term)})`, all(wanted.map(toTsQuery)))
  const isExact = excluded.length === 0 && excludedTags.length === 0 && wanted.every(({ kind }) => kind !== 'phrase')
  return {
    query,
    hasWords:
      tags.length > 0
        ? sql`(tags @> ${[...tags]}::text[] and (numnode(${words}) = 0 or search @@ ${words}))`
        : sql`(numnode(${words}) > 0 and search @@ ${words})`,
    holds: isExact
      ? undefined
      : sql`(not tags && ${[...excludedTags]}::text[] and (numnode(${query}) = 0 or search @@ ${query}))`,
  }
}

// The empty query leaves whatever it is joined with as it is.
const NOTHING: TsQuery = sql`''::tsquery`

function all([first, ...others]: readonly TsQuery[]): TsQuery {
  return first === undefined ? NOTHING : others.reduce((so, one) => sql`(${so} && ${one})`, first)
}

function toTsQuery({ kind, text }: SearchTerm): TsQuery {
  if (kind === 'prefix') return prefix(`${quoted(text)}:*`)
  return kind === 'phrase' ? sql`phraseto_tsquery('english', ${text})` : sql`plainto_tsquery('english', ${text})`
}

/** Also as it is written, since the stem of a beginning need not be one: `the*` is of "theory" too. */
function prefix(operand: string): TsQuery {
  return sql`(to_tsquery('english', ${operand}) || to_tsquery('simple', ${operand}))`
}

/** One operand of to_tsquery (PostgreSQL, section 8.11.2), whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
