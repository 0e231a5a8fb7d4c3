/**
 * Compares three ways to read one row by its key: a query of Kysely through its pool, a prepared statement, and a cache
 * in Redis. The results are the reason why frequent reads are prepared statements and why there is no cache
 * (docs/performance.md).
 */
import type { Redis } from 'ioredis'
import { type Kysely, sql } from 'kysely'
import type { Database } from '#runtime/postgres/database.ts'
import type { Tables } from '../../user-svc/tables.ts'
import { createUserRepository } from '../../user-svc/users/user-repository.ts'
import { cpuTimeSince, cpuTimesOf } from './cpu.ts'

/** CPU per read, in microseconds. */
export interface ReadPath {
  readonly name: string
  /** CPU of this process. */
  readonly ownUs: number
  /** CPU of the processes of PostgreSQL or Redis. */
  readonly storeUs: number
}

const READS = 20_000
const CONCURRENCY = 32
const KEYS = 1000

/**
 * Measures each way with 20,000 reads of 1,000 rows.
 * @param storePids return the current process ids of PostgreSQL and of Redis.
 */
export async function measureReadPaths(
  { db, prepare }: Database<Tables>,
  redis: Redis,
  storePids: { postgres: () => number[]; redis: () => number[] },
): Promise<ReadPath[]> {
  const users = createUserRepository(db, prepare)
  const { rows } = await sql<{ user: string; document: string }>`
    select owner_id as user, id as document from documents where visibility = 'public' limit ${KEYS}`.execute(db)
  const userIds = rows.map(({ user }) => user)
  const documentIds = rows.map(({ document }) => document)
  const selectDocument = prepare(() => publicDocument(db, '').compile())

  const cache = redis.pipeline()
  for (const { user, document } of rows) {
    cache.set(`user:${user}`, JSON.stringify(await users.find(user)))
    cache.set(`document:${document}`, JSON.stringify((await selectDocument(document))[0]))
  }
  await cache.exec()
  const cached = async (key: string) => {
    const row = JSON.parse((await redis.get(key)) ?? 'null')
    row.created_at = new Date(row.created_at)
    row.updated_at = new Date(row.updated_at)
    return row
  }

  const paths: [string, string[], (id: string) => Promise<unknown>, () => number[]][] = [
    ['user, Kysely through its pool', userIds, id => createUserRepository(db).find(id), storePids.postgres],
    ['user, prepared statement', userIds, id => users.find(id), storePids.postgres],
    ['user, Redis', userIds, id => cached(`user:${id}`), storePids.redis],
    ['document, Kysely through its pool', documentIds, id => publicDocument(db, id).execute(), storePids.postgres],
    ['document, prepared statement', documentIds, id => selectDocument(id), storePids.postgres],
    ['document, Redis', documentIds, id => cached(`document:${id}`), storePids.redis],
  ]
  const measured: ReadPath[] = []
  for (const [name, ids, read, pids] of paths) measured.push({ name, ...(await measure(ids, read, pids)) })
  return measured
}

const publicDocument = (db: Kysely<Tables>, id: string) =>
  db
    .selectFrom('documents')
    .select([
      'id',
      'owner_id',
      'title',
      'body',
      'tags',
      'visibility',
      'department',
      'version',
      'created_at',
      'updated_at',
    ])
    .where('id', '=', id)
    .where('visibility', '=', sql.lit('public'))

async function measure(ids: readonly string[], read: (id: string) => Promise<unknown>, pids: () => number[]) {
  async function readAll(count: number): Promise<void> {
    let turn = 0
    const reader = async () => {
      while (turn < count) await read(ids[turn++ % ids.length] as string)
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, reader))
  }
  await readAll(READS / 10)
  const [own, server] = [process.cpuUsage(), cpuTimesOf(pids())]
  await readAll(READS)
  const { user, system } = process.cpuUsage(own)
  return { ownUs: (user + system) / READS, storeUs: cpuTimeSince(server) / READS }
}
