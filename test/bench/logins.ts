/** Logins, which are bcrypt and little else, and what they do to those who wait beside them. On all cores. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { pinnedCommand } from './pinned.ts'
import type { RealSystem } from './real-system.ts'
import { median } from './rounds.ts'
import type { Row } from './table.ts'

const QUEUED = 50
const ROUNDS = 2
const RAW_SECONDS = 3
const REFRESH_SECONDS = 6
const REFRESHES_PER_SECOND = 50
const LEAST_SHARE = 0.95
const MOST_DELAY = 3

/** @returns both rows; one that fails says so. */
export async function measureLogins(system: RealSystem): Promise<Row[]> {
  system.moveTo('all')
  const rows: Row[] = []
  for (const { name, budget, measure } of ROWS) {
    try {
      rows.push({ name, budget, ...(await measure(system)) })
    } catch (error) {
      console.error(`${name} FAILED: ${(error as Error).message}`)
      rows.push({ name, budget, figure: '', ratio: '', verdict: 'FAILED' })
    }
  }
  return rows
}

interface LoginRow {
  readonly name: string
  readonly budget: string
  measure(system: RealSystem): Promise<Pick<Row, 'figure' | 'ratio' | 'verdict'>>
}

const ROWS: readonly LoginRow[] = [
  {
    name: `refresh p99 while ${QUEUED} logins are queued`,
    budget: `<= ${MOST_DELAY} x idle`,
    measure: measureRefreshBesideLogins,
  },
  { name: 'logins per second, all cores', budget: `>= ${LEAST_SHARE * 100} %`, measure: measureLoginRate },
]

/** Logins a second beside hashes a second of bcrypt alone, in turn. */
async function measureLoginRate(system: RealSystem): ReturnType<LoginRow['measure']> {
  const served: number[] = []
  const raw: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    raw.push(await rawRate())
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: QUEUED }, () => system.client.login(system.regular)))
    served.push(QUEUED / ((performance.now() - startedAt) / 1000))
  }
  const share = median(served.map((rate, at) => rate / (raw[at] as number)))
  return {
    figure: `${median(served).toFixed(2)}/s; bcrypt alone ${median(raw).toFixed(2)}/s`,
    ratio: `${(share * 100).toFixed(1)} % of bcrypt alone`,
    verdict: share >= LEAST_SHARE ? 'pass' : 'MISS',
  }
}

async function rawRate(): Promise<number> {
  const script = path.join(import.meta.dirname, 'bcrypt-rate.ts')
  const [command, args] = pinnedCommand('all', process.execPath, [script, String(RAW_SECONDS)])
  const { stdout } = await execa(command, args)
  return Number(stdout)
}

/** Refreshes alone, then while 50 logins wait for one another all the time. */
async function measureRefreshBesideLogins(system: RealSystem): ReturnType<LoginRow['measure']> {
  const idle = await refreshP99(system)
  let isOver = false
  const logins = Array.from({ length: QUEUED }, async () => {
    while (!isOver) await system.client.login(system.regular)
  })
  const queued = delay(500)
    .then(() => refreshP99(system))
    .finally(() => {
      isOver = true
    })
  const [beside] = await Promise.all([queued, ...logins])
  const ratio = beside / idle
  return {
    figure: `${beside.toFixed(1)} ms; idle ${idle.toFixed(1)} ms`,
    ratio: `${ratio.toFixed(2)} x idle`,
    verdict: ratio <= MOST_DELAY ? 'pass' : 'MISS',
  }
}

/** Milliseconds. Each is begun when it is due, whether those before have ended or not. */
async function refreshP99({ client, people }: RealSystem): Promise<number> {
  const latencies: number[] = []
  const running: Promise<unknown>[] = []
  const failures: unknown[] = []
  const startedAt = performance.now()
  for (let turn = 0; turn < REFRESHES_PER_SECOND * REFRESH_SECONDS; turn++) {
    const dueAt = startedAt + (turn * 1000) / REFRESHES_PER_SECOND
    await delay(Math.max(0, dueAt - performance.now()))
    const person = people[turn % people.length] as (typeof people)[number]
    const begunAt = performance.now()
    running.push(
      client.refresh(person).then(
        () => latencies.push(performance.now() - begunAt),
        error => failures.push(error),
      ),
    )
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  return latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)] as number
}
