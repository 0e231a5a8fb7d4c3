/** Reports over all users. Each report is one statement. */
import { type Kysely, sql } from 'kysely'
import type { Tables } from '../tables.ts'

export interface SignupsDayRow {
  /** ISO 8601 date, such as `2026-11-24`, in the time zone of the report. */
  date: string
  signups: number
}

export interface UserFiguresRow {
  id: string
  email: string
  name: string
  doc_count: number
  /** Mean sentiment of the comments on the user's documents, from -1 to 1. Null if no comment has a sentiment. */
  average_sentiment: number | null
  /** Distinct, in alphabetical order. */
  tags: string[]
}

/** The order of each value of `order_by`. */
export const USER_ORDERS = {
  '-docCount': { column: 'doc_count', direction: 'desc' },
  docCount: { column: 'doc_count', direction: 'asc' },
  '-averageSentiment': { column: 'average_sentiment', direction: 'desc' },
  averageSentiment: { column: 'average_sentiment', direction: 'asc' },
} as const

/** Values of `order_by`; a minus sign means descending. */
export type UserOrder = keyof typeof USER_ORDERS

export interface ReportRepository {
  /**
   * Sign-ups per day, oldest first: one row for each of the last `days` days including today. Deactivated and erased
   * users count too.
   * @throws DatabaseError 22023 if `timeZone` is not an IANA name.
   */
  signups(days: number, timeZone: string): Promise<SignupsDayRow[]>
  /** The first `limit` active users with more than `minDocs` documents; nulls last, ties ordered by id. */
  users(minDocs: number, order: UserOrder, limit: number): Promise<UserFiguresRow[]>
}

/** @param db its statement timeout must allow a scan of all users. */
export function createReportRepository(db: Kysely<Tables>): ReportRepository {
  return {
    async signups(days, timeZone) {
      // Days in local time: a day of a daylight-saving change has 23 or 25 hours.
      const { rows } = await sql<SignupsDayRow>`
        select to_char(day, 'YYYY-MM-DD') as date, count(users_all.id)::integer as signups
        from (select date_trunc('day', now() at time zone ${timeZone}) as today) as clock,
          generate_series(today - ${days - 1}::integer * interval '1 day', today, interval '1 day') as day
        left join users_all
          on users_all.created_at >= day at time zone ${timeZone}
          and users_all.created_at < (day + interval '1 day') at time zone ${timeZone}
        group by day
        order by day`.execute(db)
      return rows
    },
    users(minDocs, order, limit) {
      const { column, direction } = USER_ORDERS[order]
      // The document count is stored with the user: that order selects the page before documents are read. An order by
      // average needs the averages of all candidates first.
      const isByCount = column === 'doc_count'
      return db
        .with('candidates', cte =>
          cte
            .selectFrom('users')
            .select(['id', 'email', 'name', 'doc_count'])
            .where('doc_count', '>', minDocs)
            .$if(isByCount, query => query.orderBy('doc_count', direction).orderBy('id').limit(limit)),
        )
        .with('averaged', cte =>
          cte
            .selectFrom('candidates')
            .leftJoin('documents', 'documents.owner_id', 'candidates.id')
            // Not the view `comments`: the join has already checked that the document is visible.
            .leftJoin('comments_all as comments', join =>
              join
                .onRef('comments.document_id', '=', 'documents.id')
                .on('comments.deleted_at', 'is', null)
                .on(sql<boolean>`not exists (
                  select from users_all where users_all.id = comments.author_id and users_all.deleted_at is not null
                )`),
            )
            .select(['candidates.id', 'email', 'name', 'doc_count'])
            .select(row => row.fn.avg<number | null>('comments.sentiment').as('average_sentiment'))
            .groupBy(['candidates.id', 'email', 'name', 'doc_count'])
            .orderBy(column, order => (direction === 'desc' ? order.desc() : order.asc()).nullsLast())
            .orderBy('candidates.id')
            .limit(limit),
        )
        .selectFrom('averaged')
        .selectAll()
        .select(
          sql<string[]>`array(
            select distinct tag from documents, unnest(tags) as tag where documents.owner_id = averaged.id order by tag
          )`.as('tags'),
        )
        .orderBy(column, order => (direction === 'desc' ? order.desc() : order.asc()).nullsLast())
        .orderBy('id')
        .execute()
    },
  }
}
