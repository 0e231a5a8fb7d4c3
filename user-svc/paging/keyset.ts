/**
 * Keyset pagination: a page continues after the sort key of the last row of the page before it. A page costs the same
 * at any depth, and concurrent inserts and deletes neither skip nor repeat a row.
 */
import { type RawBuilder, type SelectQueryBuilder, type StringReference, sql } from 'kysely'

/**
 * The sort key of a row, most significant column first. Values are text in PostgreSQL's output format: a JavaScript
 * `Date` has no microseconds, and two rows within one millisecond would compare as equal.
 */
export type Position = readonly string[]

export interface Page<Row> {
  readonly rows: readonly Row[]
  /** Position of the last row; undefined on the last page. */
  readonly next: Position | undefined
}

/** The order of a list. The columns together are unique, and should have an index in this order. */
export interface Keyset<Column extends string = string> {
  readonly direction: 'asc' | 'desc'
  /** Most significant first: name and PostgreSQL type. */
  readonly columns: readonly (readonly [name: Column, type: 'timestamptz' | 'uuid' | 'float4'])[]
}

/** By creation time and id. */
export const NEWEST_FIRST = {
  direction: 'desc',
  columns: [
    ['created_at', 'timestamptz'],
    ['id', 'uuid'],
  ],
} as const satisfies Keyset

export const OLDEST_FIRST = { ...NEWEST_FIRST, direction: 'asc' } as const satisfies Keyset

/** A row with its position, the way `selectPage` selects it. */
export type Positioned<Row> = Row & { position: Position }

type ColumnsOf<DB, TB extends keyof DB> = Keyset<NoInfer<StringReference<DB, TB>>>

/**
 * Reads the page of at most `size` rows after the position `after`.
 * @param query has the columns and conditions of the list, and no order or limit.
 */
export async function readPage<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  keyset: ColumnsOf<DB, TB>,
  size: number,
  after: Position | undefined,
): Promise<Page<Positioned<Row>>> {
  return toPage((await selectPage(query, keyset, size, after).execute()) as Positioned<Row>[], size)
}

/** The statement of `readPage`, for use as a subquery. The extra row (`size + 1`) shows that another page follows. */
export function selectPage<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  keyset: ColumnsOf<DB, TB>,
  size: number,
  after: Position | undefined,
): SelectQueryBuilder<DB, TB, Positioned<Row>> {
  const texts = keyset.columns.map(([name]) => sql`${sql.ref(name)}::text`)
  const positioned = query.select(sql<Position>`array[${sql.join(texts)}]`.as('position'))
  const rest = after === undefined ? positioned : positioned.where(isAfter(keyset, after))
  return orderByKeyset(rest, keyset).limit(size + 1) as unknown as SelectQueryBuilder<DB, TB, Positioned<Row>>
}

export function orderByKeyset<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  { columns, direction }: ColumnsOf<DB, TB>,
): SelectQueryBuilder<DB, TB, Row> {
  return columns.reduce((ordered, [name]) => ordered.orderBy(sql.ref(name), direction), query)
}

/** Cuts the extra row of `selectPage`. */
export function toPage<Row>(rows: readonly Positioned<Row>[], size: number): Page<Positioned<Row>> {
  const page = rows.slice(0, size)
  return { rows: page, next: rows.length > size ? page.at(-1)?.position : undefined }
}

/** A row comparison, which PostgreSQL can turn into an index condition. */
function isAfter({ columns, direction }: Keyset, after: Position): RawBuilder<boolean> {
  const names = columns.map(([name]) => sql.ref(name))
  const values = columns.map(([, type], index) => sql`${after[index]}::${sql.raw(type)}`)
  return sql`(${sql.join(names)}) ${sql.raw(direction === 'desc' ? '<' : '>')} (${sql.join(values)})`
}
