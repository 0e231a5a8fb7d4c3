/**
 * Liveness and readiness. Readiness says whether this process can serve: a dead upstream fails its own routes only, so it
 * appears in the details and takes no gateway out of a load balancer.
 */
import type { FastifyInstance } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether requests of any number are served. Default false. */
    unlimited?: boolean
  }
}

/**
 * A load balancer must get a response whatever else its address sends. Both endpoints read what is in memory: a response
 * takes 25 us of CPU time, and a 429 of a limited path 50 us, so a limit would not lessen the load.
 */
const UNLIMITED = { unlimited: true }

/** Time in milliseconds for which a passed check is not repeated. Any number of probes causes one check. */
const PASSED_TTL_MS = 1000
/** The same for a failed required check. Shorter, so that a process is used as soon as it is ready. */
const FAILED_TTL_MS = 100

/** A dependency of the process. */
export interface HealthCheck {
  readonly name: string
  /** Whether the process cannot serve without it. Other checks appear in the details only. */
  readonly isRequired: boolean
  /** Returns undefined if the dependency is ready, otherwise the reason, for an operator. An exception is a reason. */
  problem(): string | undefined | Promise<string | undefined>
}

/** The outcome of one check, as `/readyz` of the metrics port shows it. */
export interface CheckResult {
  readonly name: string
  readonly required: boolean
  readonly passed: boolean
  readonly problem?: string | undefined
}

/** The body of `/readyz` on the metrics port. */
export interface HealthDetails {
  readonly status: 'ready' | 'not ready'
  readonly checks: readonly CheckResult[]
}

export interface Health {
  /** Whether the required checks pass and the process is not draining. */
  isReady(): Promise<boolean>
  /** The results of all checks. */
  details(): Promise<HealthDetails>
}

/**
 * Creates the health of a process from its checks. Results are kept for a second.
 * @param isServing false while the process drains: it is then not ready, so that load balancers stop using it.
 * @param now milliseconds of a clock that never steps. Default `performance.now()`.
 */
export function createHealth(
  checks: readonly HealthCheck[],
  isServing: () => boolean,
  now: () => number = () => performance.now(),
): Health {
  const required = checks.filter(({ isRequired }) => isRequired).map(check => keepResult(check, now))
  const others = checks.filter(({ isRequired }) => !isRequired).map(check => keepResult(check, now))
  const run = (all: readonly (() => Promise<CheckResult>)[]) => Promise.all(all.map(check => check()))

  return {
    async isReady() {
      return isServing() && (await run(required)).every(({ passed }) => passed)
    },
    async details() {
      const results = await run([...required, ...others])
      const serving = { name: 'process', required: true, passed: isServing() }
      const all = [...results, serving.passed ? serving : { ...serving, problem: 'draining' }]
      const isReady = all.every(({ required, passed }) => passed || !required)
      return { status: isReady ? 'ready' : 'not ready', checks: all }
    },
  }
}

/** Runs a check at most once at a time and keeps its result. */
function keepResult(check: HealthCheck, now: () => number): () => Promise<CheckResult> {
  let latest: Promise<CheckResult> | undefined
  let expiresAt = Number.POSITIVE_INFINITY

  async function run(): Promise<CheckResult> {
    const startedAt = now()
    const problem = await reasonOf(check)
    const passed = problem === undefined
    expiresAt = startedAt + (passed || !check.isRequired ? PASSED_TTL_MS : FAILED_TTL_MS)
    return { name: check.name, required: check.isRequired, passed, ...(!passed && { problem }) }
  }

  return () => {
    if (latest === undefined || now() >= expiresAt) {
      expiresAt = Number.POSITIVE_INFINITY
      latest = run()
    }
    return latest
  }
}

async function reasonOf(check: HealthCheck): Promise<string | undefined> {
  try {
    return await check.problem()
  } catch (error) {
    return `check failed: ${String(error)}`
  }
}

/** Registers the public endpoints: `/healthz`, which is always 200, and `/readyz`, which is 200 or 503, without details. */
export function registerHealth(app: FastifyInstance, health: Pick<Health, 'isReady'>): void {
  app.get('/healthz', { config: UNLIMITED }, () => ({ status: 'ok' }))
  app.get('/readyz', { config: UNLIMITED }, async (_request, reply) => {
    const isReady = await health.isReady()
    reply.status(isReady ? 200 : 503)
    return { status: isReady ? 'ready' : 'not ready' }
  })
}
