/** A search as PostgreSQL's text search has it. Each term is a parameter: none is ever part of a statement. */
import { type RawBuilder, sql } from 'kysely'
import type { SearchQuery, SearchTerm } from './search-query.ts'

type TsQuery = RawBuilder<string>

export interface SearchCondition {
  /** For ranks and marks. Empty when no term has a lexeme. */
  readonly query: TsQuery
  /** On a row of `documents`. */
  readonly holds: RawBuilder<boolean>
}

/**
 * Stop words ("the") have no lexeme and are passed over. Where nothing but they is wanted, nothing is found, rather than
 * everything; tags are wanted too. PostgreSQL works all of this out when it plans: the functions are immutable, given
 * the name of their configuration.
 */
export function conditionOf({ terms, tags }: SearchQuery): SearchCondition {
  const wanted = all(terms.filter(term => !term.isExcluded).map(toTsQuery))
  const query = terms.filter(term => term.isExcluded).reduce((so, term) => sql`(${so} && !!${toTsQuery(term)})`, wanted)
  const holds =
    tags.length > 0
      ? sql<boolean>`(numnode(${query}) = 0 or search @@ ${query})`
      : sql<boolean>`(numnode(${wanted}) > 0 and search @@ ${query})`
  return { query, holds }
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
