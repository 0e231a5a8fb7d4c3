/** A search as PostgreSQL's text search has it. Each term is a parameter: none is ever part of a statement. */
import { type RawBuilder, sql } from 'kysely'
import type { SearchQuery, SearchTerm } from './search-query.ts'

type TsQuery = RawBuilder<string>

/** What must be there, and that with what must not. */
export interface SearchCondition {
  /** Without a lexeme when the words are stop words ("the") only: nothing is looked for then. */
  readonly wanted: TsQuery
  readonly query: TsQuery
}

export function conditionOf({ terms }: SearchQuery): SearchCondition {
  const wanted = all(terms.filter(term => !term.isExcluded).map(toTsQuery))
  const query = terms.filter(term => term.isExcluded).reduce((so, term) => sql`(${so} && !!${toTsQuery(term)})`, wanted)
  return { wanted, query }
}

// The empty query leaves whatever it is joined with as it is.
const NOTHING: TsQuery = sql`''::tsquery`

function all([first, ...others]: readonly TsQuery[]): TsQuery {
  return first === undefined ? NOTHING : others.reduce((so, one) => sql`(${so} && ${one})`, first)
}

function toTsQuery({ kind, text }: SearchTerm): TsQuery {
  if (kind === 'prefix') return sql`to_tsquery('english', ${`${quoted(text)}:*`})`
  return kind === 'phrase' ? sql`phraseto_tsquery('english', ${text})` : sql`plainto_tsquery('english', ${text})`
}

/** One operand of to_tsquery (PostgreSQL, section 8.11.2), whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
