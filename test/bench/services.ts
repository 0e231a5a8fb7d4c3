/**
 * What a call costs user-svc and auth-svc, without the gateway, and how logins and refreshes share the machine:
 *
 *   node test/bench/services.ts [calls] [logins]      all unless named
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import bcrypt from '@node-rs/bcrypt'
import { RefreshRequest, Tokens } from '#proto/auth/v1/auth.ts'
import { User } from '#proto/user/v1/user.ts'
import { measureBareHandlers } from './bare-handlers.ts'
import { cpuTimeOf } from './cpu.ts'
import { call, type ServiceSystem, type SignedIn, startServiceSystem } from './service-system.ts'

const CONCURRENCY = 32
const QUEUED_LOGINS = 50

export interface CallCost {
  /** Microseconds for a call, by process. */
  readonly cpu: { readonly userSvc: number; readonly authSvc: number }
  readonly perSecond: number
  readonly p99Ms: number
}

/** `GetMe` with a valid token, by as many users as there are calls at once. */
export function measureGetMe(system: ServiceSystem, seconds: number): Promise<CallCost> {
  return measure(system, seconds, async ({ accessToken }) => {
    const answer = await call(system.users, '/user.v1.UserService/GetMe', new Uint8Array(), accessToken)
    if (User.decode(answer).id === '') throw new Error('A user without an id')
  })
}

/** Refreshes with rotation, each session one after another. */
export function measureRefresh(system: ServiceSystem, seconds: number): Promise<CallCost> {
  return measure(system, seconds, person => refresh(system, person))
}

async function refresh(system: ServiceSystem, person: SignedIn): Promise<void> {
  const request = RefreshRequest.encode({ refreshToken: person.refreshToken, refreshCookie: '' }).finish()
  const { refreshToken } = Tokens.decode(await call(system.auth, '/auth.v1.AuthService/Refresh', request))
  if (refreshToken === undefined || refreshToken === person.refreshToken) throw new Error('Not rotated')
  person.refreshToken = refreshToken
}

async function measure(
  system: ServiceSystem,
  seconds: number,
  once: (person: SignedIn) => Promise<void>,
): Promise<CallCost> {
  const people = system.people.slice(0, CONCURRENCY)
  await repeat(people, 2000, once)
  const cpu = () => [cpuTimeOf([system.userPid]), cpuTimeOf([system.authPid])] as const
  const [userBefore, authBefore] = cpu()
  const latencies = await repeat(people, seconds * 1000, once)
  const [userAfter, authAfter] = cpu()
  return {
    cpu: {
      userSvc: (userAfter - userBefore) / latencies.length,
      authSvc: (authAfter - authBefore) / latencies.length,
    },
    perSecond: latencies.length / seconds,
    p99Ms: percentile(latencies, 0.99),
  }
}

/** Each one again and again for a time. @returns the milliseconds that each took. */
async function repeat<T>(many: readonly T[], ms: number, once: (one: T) => Promise<void>): Promise<number[]> {
  const latencies: number[] = []
  const end = performance.now() + ms
  async function loop(one: T): Promise<void> {
    for (let started = performance.now(); started < end; ) {
      await once(one)
      const now = performance.now()
      latencies.push(now - started)
      started = now
    }
  }
  await Promise.all(many.map(loop))
  return latencies
}

export interface LoginRates {
  /** Of bcrypt alone, cost 12, as many at once as there are cores. */
  readonly rawPerSecond: number
  readonly perSecond: number
}

/** Alternates, since a machine's speed changes with what else it does. */
export async function measureLogins(system: ServiceSystem, seconds: number): Promise<LoginRates> {
  const hash = await bcrypt.hash('password', 12)
  const cores = Array.from({ length: availableParallelism() })
  const logins = Array.from({ length: QUEUED_LOGINS })
  let raw = 0
  let served = 0
  for (let round = 0; round < 3; round++) {
    raw +=
      (await timed(seconds / 3, ms => repeat(cores, ms, async () => void (await bcrypt.verify('password', hash))))) / 3
    served += (await timed(seconds / 3, ms => repeat(logins, ms, async () => void (await system.login())))) / 3
  }
  return { rawPerSecond: raw, perSecond: served }
}

/** How many a second, up to the end of the last that was begun in the time. */
async function timed(seconds: number, run: (ms: number) => Promise<unknown[]>): Promise<number> {
  const started = performance.now()
  const done = await run(seconds * 1000)
  return (done.length / (performance.now() - started)) * 1000
}

export interface RefreshLatency {
  readonly idleP99Ms: number
  readonly queuedP99Ms: number
  /** While logins were queued. */
  readonly loginsPerSecond: number
}

/** Refreshes at 50 a second, alone and while 50 logins wait for each other. */
export async function measureRefreshBesideLogins(system: ServiceSystem, seconds: number): Promise<RefreshLatency> {
  await paced(system, 1000)
  const idle = await paced(system, seconds * 1000)
  let logins = 0
  let over = false
  const queued = Array.from({ length: QUEUED_LOGINS }, async () => {
    while (!over) {
      await system.login()
      logins += over ? 0 : 1
    }
  })
  await delay(500)
  const beside = await paced(system, seconds * 1000)
  over = true
  await Promise.all(queued)
  return {
    idleP99Ms: percentile(idle, 0.99),
    queuedP99Ms: percentile(beside, 0.99),
    loginsPerSecond: logins / (seconds + 0.5),
  }
}

const REFRESH_INTERVAL_MS = 20

/**
 * Begun on time whether the one before has ended or not: what waits is not left out of the count. A session whose refresh
 * is under way is passed over.
 */
async function paced(system: ServiceSystem, ms: number): Promise<number[]> {
  const latencies: number[] = []
  const free = [...system.people]
  const running: Promise<void>[] = []
  const started = performance.now()

  async function timedRefresh(person: SignedIn): Promise<void> {
    const began = performance.now()
    await refresh(system, person)
    latencies.push(performance.now() - began)
    free.push(person)
  }

  for (let turn = 0; turn * REFRESH_INTERVAL_MS < ms; turn++) {
    await delay(Math.max(0, started + turn * REFRESH_INTERVAL_MS - performance.now()))
    const person = free.shift()
    if (person === undefined) throw new Error('Every session waits for its refresh')
    running.push(timedRefresh(person))
  }
  await Promise.all(running)
  return latencies
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

async function main(rows: readonly string[]): Promise<void> {
  const wants = (row: string) => rows.length === 0 || rows.includes(row)
  const system = await startServiceSystem({ people: CONCURRENCY })
  const us = (figure: number) => `${figure.toFixed(1)} us`
  try {
    if (wants('calls')) {
      const bare = await measureBareHandlers(system.stores, 3)
      const me = await measureGetMe(system, 5)
      const refresh = await measureRefresh(system, 5)
      console.log(`Bare     fixed answer ${us(bare.fixedAnswer)}, refresh ${us(bare.refresh)}`)
      console.log(
        `GetMe    user-svc ${us(me.cpu.userSvc)}, ${(me.cpu.userSvc / bare.fixedAnswer).toFixed(2)} x fixed answer ` +
          `(${me.perSecond.toFixed(0)}/s, p99 ${me.p99Ms.toFixed(1)} ms)`,
      )
      console.log(
        `Refresh  auth-svc ${us(refresh.cpu.authSvc)}, ${(refresh.cpu.authSvc / bare.refresh).toFixed(2)} x bare ` +
          `(${refresh.perSecond.toFixed(0)}/s, p99 ${refresh.p99Ms.toFixed(1)} ms)`,
      )
    }
    if (wants('logins')) {
      const { idleP99Ms, queuedP99Ms, loginsPerSecond } = await measureRefreshBesideLogins(system, 8)
      console.log(
        `Refresh  p99 idle ${idleP99Ms.toFixed(1)} ms, beside 50 logins ${queuedP99Ms.toFixed(1)} ms, ` +
          `${(queuedP99Ms / idleP99Ms).toFixed(2)} x (${loginsPerSecond.toFixed(1)} logins/s)`,
      )
      const { perSecond, rawPerSecond } = await measureLogins(system, 18)
      console.log(
        `Logins   ${perSecond.toFixed(2)}/s, raw bcrypt ${rawPerSecond.toFixed(2)}/s, ${((100 * perSecond) / rawPerSecond).toFixed(1)} %`,
      )
    }
  } finally {
    await system.stop()
  }
}

if (import.meta.main) await main(process.argv.slice(2))
