/** Measures logins, whose cost is mostly bcrypt, and their effect on concurrent refreshes. Uses all cores. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { pinnedCommand } from './pinned.ts'
import type { RealSystem } from './real-system.ts'
import { median } from './rounds.ts'
import type { Row } from './table.ts'

const QUEUED = 50
const ROUNDS = 2
const BCRYPT_SECONDS = 3
const REFRESH_SECONDS = 6
const REFRESHES_PER_SECOND = 50
const MIN_SHARE = 0.95
const MAX_DELAY_RATIO = 3

/** @returns the two rows of the table. A measurement that fails has the verdict FAILED. */
export async function measureLogins(system: RealSystem): Promise<Row[]> {
  system.pinTo('all')
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
    budget: `<= ${MAX_DELAY_RATIO} x idle`,
    measure: measureRefreshBesideLogins,
  },
  { name: 'logins per second, all cores', budget: `>= ${MIN_SHARE * 100} %`, measure: measureLoginRate },
]

/** Measures logins per second and bcrypt verifications per second, in turn. */
async function measureLoginRate(system: RealSystem): ReturnType<LoginRow['measure']> {
  const loginRates: number[] = []
  const bcryptRates: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    bcryptRates.push(await measureBcryptRate())
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: QUEUED }, () => system.client.login(system.loginEmail)))
    loginRates.push(QUEUED / ((performance.now() - startedAt) / 1000))
  }
  const share = median(loginRates.map((rate, at) => rate / (bcryptRates[at] as number)))
  return {
    figure: `${median(loginRates).toFixed(2)}/s; bcrypt alone ${median(bcryptRates).toFixed(2)}/s`,
    ratio: `${(share * 100).toFixed(1)} % of bcrypt alone`,
    verdict: share >= MIN_SHARE ? 'pass' : 'MISS',
  }
}

async function measureBcryptRate(): Promise<number> {
  const script = path.join(import.meta.dirname, 'bcrypt-rate.ts')
  const [command, args] = pinnedCommand('all', process.execPath, [script, String(BCRYPT_SECONDS)])
  const { stdout } = await execa(command, args)
  return Number(stdout)
}

/** Measures refreshes alone, then while 50 logins are queued all the time. */
async function measureRefreshBesideLogins(system: RealSystem): ReturnType<LoginRow['measure']> {
  const idle = await refreshP99(system)
  let isOver = false
  const logins = Array.from({ length: QUEUED }, async () => {
    while (!isOver) await system.client.login(system.loginEmail)
  })
  const loaded = delay(500)
    .then(() => refreshP99(system))
    .finally(() => {
      isOver = true
    })
  const [p99] = await Promise.all([loaded, ...logins])
  const ratio = p99 / idle
  return {
    figure: `${p99.toFixed(1)} ms; idle ${idle.toFixed(1)} ms`,
    ratio: `${ratio.toFixed(2)} x idle`,
    verdict: ratio <= MAX_DELAY_RATIO ? 'pass' : 'MISS',
  }
}

/** Sends refreshes at a constant rate, independent of their duration. @returns the 99th percentile in milliseconds. */
async function refreshP99({ client, sessions }: RealSystem): Promise<number> {
  const latencies: number[] = []
  const running: Promise<unknown>[] = []
  const failures: unknown[] = []
  const startedAt = performance.now()
  for (let turn = 0; turn < REFRESHES_PER_SECOND * REFRESH_SECONDS; turn++) {
    const dueAt = startedAt + (turn * 1000) / REFRESHES_PER_SECOND
    await delay(Math.max(0, dueAt - performance.now()))
    const session = sessions[turn % sessions.length] as (typeof sessions)[number]
    const refreshStartedAt = performance.now()
    running.push(
      client.refresh(session).then(
        () => latencies.push(performance.now() - refreshStartedAt),
        error => failures.push(error),
      ),
    )
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  return latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)] as number
}
