/**
 * `make bench-data`: measures user-svc on a million sample documents (USERS and DOCS set another size): rows per second
 * of the load, and response time and number of SQL statements of each call. user-svc runs in this process, so that its
 * statements can be counted.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import getPort from 'get-port'
import { sql } from 'kysely'
import { pino } from 'pino'
import { callServerStream } from '#runtime/grpc/client.ts'
import { count, readSettings } from '#runtime/process/env.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { findRedisServer, startRedis } from '../../deploy/dev/redis.ts'
import { countStatements } from '../support/statement-counter.ts'
import { serveUsers, type UserServer } from '../user-svc/user-server.ts'
import { type DataCall, dataCalls, type SampleIds } from './data-calls.ts'
import { openDataFolder } from './data-folder.ts'
import { measureReadPaths } from './read-paths.ts'

const { USERS, DOCS } = readSettings({ USERS: count(100_000), DOCS: count(1_000_000) })

/** Duration of the measurement of each call, in milliseconds. */
const CALL_MS = 3000
const CONCURRENCY = 2

interface Figures {
  p50: number
  p95: number
  rate: number
  statements: number
}

const folder = await openDataFolder({ users: USERS, documents: DOCS })
try {
  const server = await serveUsers({ url: folder.userUrl })
  try {
    const ids = await findSampleIds(server)
    console.log(seedTable())
    console.log('\n| call | p50 ms | p95 ms | calls/s | statements |\n| --- | --- | --- | --- | --- |')
    for (const call of dataCalls(server, ids)) {
      const { p50, p95, rate, statements } = await measure(call)
      console.log(`| ${call.name} | ${p50.toFixed(1)} | ${p95.toFixed(1)} | ${rate.toFixed(0)} | ${statements} |`)
    }
    console.log(`\n${await exportLine(server)}`)
    console.log(await readPathTable(server))
  } finally {
    await server.close()
  }
} finally {
  await folder.stop()
}

function seedTable(): string {
  if (folder.steps.length === 0) return `The data exists: ${USERS} users, ${DOCS} documents.`
  const total = folder.steps.reduce((sum, { seconds }) => sum + seconds, 0)
  const lines = folder.steps
    .filter(({ rows }) => rows !== undefined)
    .map(
      ({ name, rows = 0, seconds }) => `| ${name} | ${rows} | ${seconds.toFixed(1)} | ${Math.round(rows / seconds)} |`,
    )
  return [
    `Loaded in ${total.toFixed(0)} s, including indexes and foreign keys.\n`,
    '| table | rows | s | rows/s |\n| --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}

async function findSampleIds({ database: { db } }: UserServer): Promise<SampleIds> {
  const user = await db
    .selectFrom('users')
    .select('id')
    .where('department', '<>', '')
    .where('role', '=', 'user')
    .where('doc_count', '>=', 20)
    .where('doc_count', '<=', 100)
    .orderBy('id')
    .executeTakeFirstOrThrow()
  const administrator = await db
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'admin')
    .orderBy('id')
    .executeTakeFirstOrThrow()
  const ids = async (condition: ReturnType<typeof sql<boolean>>) =>
    (await db.selectFrom('documents').select('id').where(condition).limit(500).execute()).map(({ id }) => id)
  return {
    user: user.id,
    administrator: administrator.id,
    publicDocuments: await ids(sql<boolean>`visibility = 'public'`),
    ownDocuments: await ids(sql<boolean>`owner_id = ${user.id}`),
  }
}

async function measure({ run }: DataCall): Promise<Figures> {
  await run()
  const statements = await countStatements(run)
  const times: number[] = []
  const startedAt = performance.now()
  const caller = async () => {
    while (performance.now() - startedAt < CALL_MS) {
      const callStartedAt = performance.now()
      await run()
      times.push(performance.now() - callStartedAt)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, caller))
  const seconds = (performance.now() - startedAt) / 1000
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), rate: times.length / seconds, statements }
}

/** Measures the export of the user with the most documents. */
async function exportLine({ database: { db }, exports, mint }: UserServer): Promise<string> {
  const { id } = await db
    .selectFrom('users')
    .select('id')
    .orderBy('doc_count', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  const settings = { token: mint.access({ sub: id, role: 'user' }), signal: AbortSignal.timeout(60_000) }
  const startedAt = performance.now()
  let records = 0
  for await (const _ of callServerStream(exports, exports.exportMe, {}, settings)) records++
  const seconds = (performance.now() - startedAt) / 1000
  return `Export of ${records} records in ${seconds.toFixed(1)} s: ${Math.round(records / seconds)} records/s.`
}

async function readPathTable({ database }: UserServer): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'bench-data-'))
  const port = await getPort()
  const store = await startRedis({ command: await findRedisServer(console.log), dir: directory, port })
  const redis = createRedis(`redis://127.0.0.1:${port}`, pino({ level: 'silent' }), { enableAutoPipelining: true })
  try {
    const paths = await measureReadPaths(database, redis, {
      postgres: () => folder.processes(),
      redis: () => [store.pid],
    })
    return [
      '\n| read by key | us CPU, user-svc | us CPU, store |\n| --- | --- | --- |',
      ...paths.map(({ name, ownUs, storeUs }) => `| ${name} | ${ownUs.toFixed(0)} | ${storeUs.toFixed(0)} |`),
    ].join('\n')
  } finally {
    redis.disconnect()
    await store.stop()
    await rm(directory, { recursive: true })
  }
}
