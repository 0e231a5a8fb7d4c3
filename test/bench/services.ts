/**
 * Measures the CPU per call of user-svc and auth-svc without the gateway, and the effect of logins on refreshes:
 *
 *   node test/bench/services.ts [calls] [logins]      default: both
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import bcrypt from '@node-rs/bcrypt'
import { RefreshRequest, Tokens } from '#proto/auth/v1/auth.ts'
import { User } from '#proto/user/v1/user.ts'
import { measureBareHandlers } from './bare-handlers.ts'
import { cpuTimeOf } from './cpu.ts'
import { call, type ServiceSystem, type Session, startServiceSystem } from './service-system.ts'

const CONCURRENCY = 32
const QUEUED_LOGINS = 50

export interface CallCost {
  /** CPU per call in microseconds, by process. */
  readonly cpu: { readonly userSvc: number; readonly authSvc: number }
  readonly perSecond: number
  readonly p99Ms: number
}

/** Measures `GetMe` with valid tokens, 32 calls at a time. */
export function measureGetMe(system: ServiceSystem, seconds: number): Promise<CallCost> {
  return measure(system, seconds, async ({ accessToken }) => {
    const response = await call(system.users, '/user.v1.UserService/GetMe', new Uint8Array(), accessToken)
    if (User.decode(response).id === '') throw new Error('The response contains no user')
  })
}

/** Measures refreshes with rotation, 32 sessions at a time. */
export function measureRefresh(system: ServiceSystem, seconds: number): Promise<CallCost> {
  return measure(system, seconds, session => refresh(system, session))
}

async function refresh(system: ServiceSystem, session: Session): Promise<void> {
  const request = RefreshRequest.encode({ refreshToken: session.refreshToken, refreshCookie: '' }).finish()
  const { refreshToken } = Tokens.decode(await call(system.auth, '/auth.v1.AuthService/Refresh', request))
  if (refreshToken === undefined || refreshToken === session.refreshToken)
    throw new Error('The refresh token was not rotated')
  session.refreshToken = refreshToken
}

async function measure(
  system: ServiceSystem,
  seconds: number,
  operation: (session: Session) => Promise<void>,
): Promise<CallCost> {
  const sessions = system.sessions.slice(0, CONCURRENCY)
  await repeat(sessions, 2000, operation)
  const cpu = () => [cpuTimeOf([system.userPid]), cpuTimeOf([system.authPid])] as const
  const [userBefore, authBefore] = cpu()
  const latencies = await repeat(sessions, seconds * 1000, operation)
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

/**
 * Runs the operation repeatedly for `ms` milliseconds, one loop per item.
 * @returns the duration of each operation in milliseconds.
 */
async function repeat<T>(items: readonly T[], ms: number, operation: (item: T) => Promise<void>): Promise<number[]> {
  const latencies: number[] = []
  const end = performance.now() + ms
  async function loop(item: T): Promise<void> {
    for (let started = performance.now(); started < end; ) {
      await operation(item)
      const now = performance.now()
      latencies.push(now - started)
      started = now
    }
  }
  await Promise.all(items.map(loop))
  return latencies
}

/** Operations per second. */
export interface LoginRates {
  /** Bcrypt verifications at cost 12, one per core at a time. */
  readonly bcryptPerSecond: number
  readonly perSecond: number
}

/** Measures both in turn, because the speed of a shared machine varies. */
export async function measureLogins(system: ServiceSystem, seconds: number): Promise<LoginRates> {
  const hash = await bcrypt.hash('password', 12)
  const cores = Array.from({ length: availableParallelism() })
  const logins = Array.from({ length: QUEUED_LOGINS })
  let bcryptRate = 0
  let loginRate = 0
  for (let round = 0; round < 3; round++) {
    bcryptRate +=
      (await timed(seconds / 3, ms => repeat(cores, ms, async () => void (await bcrypt.verify('password', hash))))) / 3
    loginRate += (await timed(seconds / 3, ms => repeat(logins, ms, async () => void (await system.login())))) / 3
  }
  return { bcryptPerSecond: bcryptRate, perSecond: loginRate }
}

/** @returns operations per second, until the end of the last one that started in time. */
async function timed(seconds: number, run: (ms: number) => Promise<unknown[]>): Promise<number> {
  const started = performance.now()
  const done = await run(seconds * 1000)
  return (done.length / (performance.now() - started)) * 1000
}

/** Latency of refreshes alone and beside logins. */
export interface RefreshLatency {
  readonly idleP99Ms: number
  readonly queuedP99Ms: number
  /** Logins per second during the second measurement. */
  readonly loginsPerSecond: number
}

/** Measures refreshes at 50 per second, alone and while 50 logins are queued. */
export async function measureRefreshBesideLogins(system: ServiceSystem, seconds: number): Promise<RefreshLatency> {
  await paced(system, 1000)
  const idle = await paced(system, seconds * 1000)
  let logins = 0
  let isOver = false
  const queued = Array.from({ length: QUEUED_LOGINS }, async () => {
    while (!isOver) {
      await system.login()
      logins += isOver ? 0 : 1
    }
  })
  await delay(500)
  const loaded = await paced(system, seconds * 1000)
  isOver = true
  await Promise.all(queued)
  return {
    idleP99Ms: percentile(idle, 0.99),
    queuedP99Ms: percentile(loaded, 0.99),
    loginsPerSecond: logins / (seconds + 0.5),
  }
}

const REFRESH_INTERVAL_MS = 20

/**
 * Starts refreshes at a constant rate, independent of their duration, so that waiting time is measured. Sessions with a
 * refresh in progress are skipped.
 */
async function paced(system: ServiceSystem, ms: number): Promise<number[]> {
  const latencies: number[] = []
  const idle = [...system.sessions]
  const running: Promise<void>[] = []
  const started = performance.now()

  async function timedRefresh(session: Session): Promise<void> {
    const startedAt = performance.now()
    await refresh(system, session)
    latencies.push(performance.now() - startedAt)
    idle.push(session)
  }

  for (let turn = 0; turn * REFRESH_INTERVAL_MS < ms; turn++) {
    await delay(Math.max(0, started + turn * REFRESH_INTERVAL_MS - performance.now()))
    const session = idle.shift()
    if (session === undefined) throw new Error('All sessions have a refresh in progress')
    running.push(timedRefresh(session))
  }
  await Promise.all(running)
  return latencies
}

/** Returns the value at a share of the sorted values, or NaN for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

async function main(rows: readonly string[]): Promise<void> {
  const includes = (row: string) => rows.length === 0 || rows.includes(row)
  const system = await startServiceSystem({ sessions: CONCURRENCY })
  const us = (figure: number) => `${figure.toFixed(1)} us`
  try {
    if (includes('calls')) {
      const bare = await measureBareHandlers(system.stores, 3)
      const me = await measureGetMe(system, 5)
      const refresh = await measureRefresh(system, 5)
      console.log(`Bare     fixed response ${us(bare.fixedResponse)}, refresh ${us(bare.refresh)}`)
      console.log(
        `GetMe    user-svc ${us(me.cpu.userSvc)}, ${(me.cpu.userSvc / bare.fixedResponse).toFixed(2)} x fixed response ` +
          `(${me.perSecond.toFixed(0)}/s, p99 ${me.p99Ms.toFixed(1)} ms)`,
      )
      console.log(
        `Refresh  auth-svc ${us(refresh.cpu.authSvc)}, ${(refresh.cpu.authSvc / bare.refresh).toFixed(2)} x bare ` +
          `(${refresh.perSecond.toFixed(0)}/s, p99 ${refresh.p99Ms.toFixed(1)} ms)`,
      )
    }
    if (includes('logins')) {
      const { idleP99Ms, queuedP99Ms, loginsPerSecond } = await measureRefreshBesideLogins(system, 8)
      console.log(
        `Refresh  p99 idle ${idleP99Ms.toFixed(1)} ms, beside 50 logins ${queuedP99Ms.toFixed(1)} ms, ` +
          `${(queuedP99Ms / idleP99Ms).toFixed(2)} x (${loginsPerSecond.toFixed(1)} logins/s)`,
      )
      const { perSecond, bcryptPerSecond } = await measureLogins(system, 18)
      console.log(
        `Logins   ${perSecond.toFixed(2)}/s, bcrypt alone ${bcryptPerSecond.toFixed(2)}/s, ${((100 * perSecond) / bcryptPerSecond).toFixed(1)} %`,
      )
    }
  } finally {
    await system.stop()
  }
}

if (import.meta.main) await main(process.argv.slice(2))
