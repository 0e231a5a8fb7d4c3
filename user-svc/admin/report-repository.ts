/** What administrators want to know of all users: each report is one statement. */
import { type Kysely, sql } from 'kysely'
import type { Tables } from '../tables.ts'

export interface SignupsDayRow {
  /** 2026-11-24 */
  date: string
  signups: number
}

export interface UserFiguresRow {
  id: string
  email: string
  name: string
  doc_count: number
  /** Null without comments that say how their authors feel. */
  average_sentiment: number | null
  tags: string[]
}

export const USER_ORDERS = {
  '-docCount': { column: 'doc_count', direction: 'desc' },
  docCount: { column: 'doc_count', direction: 'asc' },
  '-averageSentiment': { column: 'average_sentiment', direction: 'desc' },
  averageSentiment: { column: 'average_sentiment', direction: 'asc' },
} as const

export type UserOrder = keyof typeof USER_ORDERS

export interface ReportRepository {
  /** A row for each of the last days, today included, closed accounts counted too. @throws on an unknown time zone. */
  signups(days: number, timeZone: string): Promise<SignupsDayRow[]>
  /** Living users with more documents than `minDocs`. */
  users(minDocs: number, order: UserOrder, limit: number): Promise<UserFiguresRow[]>
}

export function createReportRepository(db: Kysely<Tables>): ReportRepository {
  return {
    async signups(days, timeZone) {
      // Days are made by the clock on the wall: one of them may have 23 hours, or 25.
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
      // By the count that each user carries, the few of the page are found first, and only their documents looked at.
      // The average of nobody is known before all are looked at.
      const isCounted = column === 'doc_count'
      return db
        .with('counted', cte =>
          cte
            .selectFrom('users')
            .select(['id', 'email', 'name', 'doc_count'])
            .where('doc_count', '>', minDocs)
            .$if(isCounted, query => query.orderBy('doc_count', direction).orderBy('id').limit(limit)),
        )
        .with('felt', cte =>
          cte
            .selectFrom('counted')
            .leftJoin('documents', 'documents.owner_id', 'counted.id')
            // What the view of comments asks besides, whether the document is there, is answered by then.
            .leftJoin('comments_all as comments', join =>
              join
                .onRef('comments.document_id', '=', 'documents.id')
                .on('comments.deleted_at', 'is', null)
                .on(sql<boolean>`not exists (
                  select from users_all where users_all.id = comments.author_id and users_all.deleted_at is not null
                )`),
            )
            .select(['counted.id', 'email', 'name', 'doc_count'])
            .select(row => row.fn.avg<number | null>('comments.sentiment').as('average_sentiment'))
            .groupBy(['counted.id', 'email', 'name', 'doc_count'])
            .orderBy(column, order => (direction === 'desc' ? order.desc() : order.asc()).nullsLast())
            .orderBy('counted.id')
            .limit(limit),
        )
        .selectFrom('felt')
        .selectAll()
        .select(
          sql<string[]>`array(
            select distinct tag from documents, unnest(tags) as tag where documents.owner_id = felt.id order by tag
          )`.as('tags'),
        )
        .orderBy(column, order => (direction === 'desc' ? order.desc() : order.asc()).nullsLast())
        .orderBy('id')
        .execute()
    },
  }
}
