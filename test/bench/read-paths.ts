/**
 * Ways to read one row by its key: as Kysely and its pool do, by a prepared statement, and from a cache in Redis. It is
 * why the hot reads are prepared, and why there is no cache: see README.
 */

import type { Redis } from 'ioredis'
import { type Kysely, sql } from 'kysely'
import type { Database } from '#runtime/postgres/database.ts'
import type { Tables } from '../../user-svc/tables.ts'
import { createUserRepository } from '../../user-svc/users/user-repository.ts'
import { cpuTimeOf } from './cpu.ts'

export interface ReadPath {
  readonly name: string
  /** Microseconds of CPU a read, of this process and of the server's processes. */
  readonly ownUs: number
  readonly serverUs: number
}

const READS = 20_000
const CONCURRENCY = 32
const KEYS = 1000

/** @param serverPids of PostgreSQL at this moment, and of Redis. */
export async function measureReadPaths(
  { db, prepare }: Database<Tables>,
  redis: Redis,
  serverPids: { postgres: () => number[]; redis: () => number[] },
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
    ['a user, by Kysely and its pool', userIds, id => createUserRepository(db).find(id), serverPids.postgres],
    ['a user, prepared', userIds, id => users.find(id), serverPids.postgres],
    ['a user, from Redis', userIds, id => cached(`user:${id}`), serverPids.redis],
    ['a document, by Kysely and its pool', documentIds, id => publicDocument(db, id).execute(), serverPids.postgres],
    ['a document, prepared', documentIds, id => selectDocument(id), serverPids.postgres],
    ['a document, from Redis', documentIds, id => cached(`document:${id}`), serverPids.redis],
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
  // The same processes before and after: a connection that ends meanwhile takes its time with it.
  const serving = pids()
  const [own, server] = [process.cpuUsage(), cpuTimeOf(serving)]
  await readAll(READS)
  const { user, system } = process.cpuUsage(own)
  return { ownUs: (user + system) / READS, serverUs: (cpuTimeOf(serving) - server) / READS }
}
