import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { invalidCredentials } from '../../../auth-svc/errors.ts'
import { type BudgetPolicy, budgetPolicy } from '../../../auth-svc/throttling/attempt-budget.ts'
import { budgetKey, createRedisBudget } from '../../../auth-svc/throttling/redis-budget.ts'
import { createSignInThrottle, type SignInThrottle } from '../../../auth-svc/throttling/sign-in-throttle.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'
import { until } from '../../support/until.ts'

t.setTimeout(120_000)

const logger = pino({ level: 'silent' })
const neverAborted = new AbortController().signal
const LIMITED = { code: Code.RESOURCE_EXHAUSTED, reason: 'rate_limited' }
const shared = await openTestRedis(t)

interface Options {
  url?: string
  policy?: Partial<BudgetPolicy>
  maxWaiting?: number
}

/** A throttle of one process, with a Redis connection of its own. */
function openThrottle(t: Test, { url = shared.url, policy, maxWaiting }: Options = {}) {
  const redis = createRedis(url, logger)
  t.teardown(() => redis.disconnect())
  const limits = { ...budgetPolicy(5, 900), ...policy }
  const refusals: string[] = []
  const throttle = createSignInThrottle({
    policy: limits,
    budget: createRedisBudget(redis, limits),
    logger,
    onRefusal: refusal => refusals.push(refusal),
    ...(maxWaiting !== undefined && { maxWaiting }),
  })
  return Object.assign(throttle, { redis, refusals })
}

let addresses = 0
const newAddress = () => `198.51.100.${++addresses}`

/** A password that is verified when the test decides. */
function openAttempt(throttle: SignInThrottle, address: string, signal = neverAborted) {
  const decision = Promise.withResolvers<string>()
  const started = Promise.withResolvers<void>()
  const result = throttle.attempt(address, signal, () => {
    started.resolve()
    return decision.promise
  })
  result.catch(() => {})
  return {
    started: started.promise,
    result,
    succeed: () => decision.resolve('signed in'),
    fail: () => decision.reject(invalidCredentials()),
  }
}

const signIn = (throttle: SignInThrottle, address: string) =>
  throttle.attempt(address, neverAborted, async () => {
    await delay(20)
    return 'signed in'
  })

const guess = (throttle: SignInThrottle, address: string): Promise<StatusError> =>
  throttle
    .attempt(address, neverAborted, async () => {
      await delay(20)
      throw invalidCredentials()
    })
    .then(
      () => t.fail('a wrong password was accepted') as never,
      error => error,
    )

const reasonsOf = (errors: readonly StatusError[]) => {
  const counts: Record<string, number> = {}
  for (const { reason = '' } of errors) counts[reason] = (counts[reason] ?? 0) + 1
  return counts
}

t.test('25 correct sign-ins at once from one address all succeed and leave its budget full', async t => {
  const throttle = openThrottle(t, { policy: { waitUs: 30e6 } })
  const address = newAddress()
  const results = await Promise.all(Array.from({ length: 25 }, () => signIn(throttle, address)))
  t.strictSame(new Set(results), new Set(['signed in']))
  t.equal(throttle.waiting, 0)
  t.equal(await throttle.redis.exists(budgetKey(address)), 0, 'nothing is left in Redis')
  t.match(await guess(throttle, address), { quota: { name: 'sign-in', limit: 5, windowS: 900, remaining: 4 } })
})

t.test('60 parallel guesses at two processes fail as often as the budget allows, then all are limited', async t => {
  const processes = [openThrottle(t), openThrottle(t)] as const
  const address = newAddress()
  const guesses = Array.from({ length: 60 }, (_, n) => guess(processes[n % 2] as SignInThrottle, address))
  t.strictSame(reasonsOf(await Promise.all(guesses)), { invalid_credentials: 5, rate_limited: 55 })

  const limited = await guess(processes[0], address)
  t.match(limited, { ...LIMITED, quota: { name: 'sign-in', limit: 5, windowS: 900, remaining: 0 } })
  const { retryAfterMs = 0, quota } = limited
  t.ok(retryAfterMs > 150_000 && retryAfterMs <= 180_000, `a token is added every 180 s: ${retryAfterMs} ms`)
  t.equal(quota?.resetS, Math.ceil(retryAfterMs / 1000))
  await t.rejects(signIn(processes[1], address), LIMITED, 'the correct password is not verified any more')
  t.equal(await signIn(processes[1], newAddress()), 'signed in', 'other addresses are not affected')
})

t.test('a success and an error other than invalid_credentials charge nothing', async t => {
  const throttle = openThrottle(t)
  const address = newAddress()
  for (let n = 0; n < 20; n++) await signIn(throttle, address)
  const unavailable = new StatusError(Code.UNAVAILABLE, 'no', { reason: 'overloaded' })
  for (let n = 0; n < 20; n++) {
    await t.rejects(
      throttle.attempt(address, neverAborted, () => Promise.reject(unavailable)),
      unavailable,
    )
  }
  for (const remaining of [4, 3, 2, 1, 0]) t.match(await guess(throttle, address), { quota: { remaining } })
  t.match(await guess(throttle, address), LIMITED)
  t.strictSame(throttle.refusals, ['exhausted'])
})

t.test('attempts beyond the free tokens wait, at most 20 for an address and 2 s each', async t => {
  const throttle = openThrottle(t)
  const other = openThrottle(t)
  const address = newAddress()
  const undecided = Array.from({ length: 5 }, () => openAttempt(throttle, address))
  await Promise.all(undecided.map(({ started }) => started))
  const startedAt = performance.now()
  const waiting = Array.from({ length: 20 }, (_, n) => openAttempt(n % 2 ? throttle : other, address))
  await until(
    async () => throttle.waiting + other.waiting,
    size => size === 20,
  )
  const crowded = await signIn(other, address).catch(error => error)
  t.match(crowded, { ...LIMITED, retryAfterMs: 1000, quota: { remaining: 0, resetS: 1 } })

  undecided[0]?.succeed()
  const admitted = await Promise.race(waiting.map(attempt => attempt.started.then(() => attempt)))
  const refused = [...waiting.filter(attempt => attempt !== admitted), openAttempt(throttle, address)]
  const results = await Promise.allSettled(refused.map(({ result }) => result))
  const ms = performance.now() - startedAt
  t.ok(
    results.every(({ status }) => status === 'rejected'),
    'the others are rejected, as no other attempt is decided',
  )
  for (const result of results) t.match((result as PromiseRejectedResult).reason, LIMITED)
  t.ok(ms >= 1900, `after ${ms.toFixed(0)} ms`)
  for (const attempt of [...undecided, ...waiting]) attempt.succeed()
})

t.test('attempts that wait are admitted in the order of their arrival', async t => {
  const throttle = openThrottle(t, { policy: { waitUs: 30e6 } })
  const address = newAddress()
  const undecided = Array.from({ length: 5 }, () => openAttempt(throttle, address))
  await Promise.all(undecided.map(({ started }) => started))
  const order: number[] = []
  const waiting: Promise<void>[] = []
  for (let n = 0; n < 6; n++) {
    waiting.push(throttle.attempt(address, neverAborted, async () => void order.push(n)))
    await until(
      async () => throttle.waiting,
      size => size === n + 1,
    )
  }
  undecided[0]?.succeed()
  await Promise.all(waiting)
  t.strictSame(order, [0, 1, 2, 3, 4, 5])
  for (const attempt of undecided) attempt.succeed()
})

t.test('a cancelled attempt stops waiting', async t => {
  const throttle = openThrottle(t, { policy: { waitUs: 30e6 } })
  const address = newAddress()
  const undecided = Array.from({ length: 5 }, () => openAttempt(throttle, address))
  await Promise.all(undecided.map(({ started }) => started))
  const controller = new AbortController()
  const cancelled = openAttempt(throttle, address, controller.signal)
  await until(
    async () => throttle.waiting,
    size => size === 1,
  )
  controller.abort()
  await t.rejects(cancelled.result, { code: Code.CANCELLED })
  t.equal(throttle.waiting, 0)
  for (const attempt of undecided) attempt.succeed()
})

t.test('the number of waiting attempts of all addresses is bounded', async t => {
  const throttle = openThrottle(t, { maxWaiting: 3, policy: { waitUs: 30e6 } })
  const attempts = []
  for (let n = 0; n < 3; n++) {
    const address = newAddress()
    const undecided = Array.from({ length: 5 }, () => openAttempt(throttle, address))
    await Promise.all(undecided.map(({ started }) => started))
    attempts.push(...undecided, openAttempt(throttle, address))
    await until(
      async () => throttle.waiting,
      size => size === n + 1,
    )
  }
  const address = newAddress()
  const undecided = Array.from({ length: 5 }, () => openAttempt(throttle, address))
  await Promise.all(undecided.map(({ started }) => started))
  await t.rejects(signIn(throttle, address), { code: Code.UNAVAILABLE, reason: 'overloaded' })
  for (const attempt of [...attempts, ...undecided]) attempt.succeed()
})

t.test('the reservations of a crashed process expire; those of a running process are renewed', async t => {
  const policy = { holdUs: 1e6, waitUs: 30e6 }
  const [running, other] = [openThrottle(t, { policy }), openThrottle(t, { policy })]
  const address = newAddress()
  const crashed = createRedisBudget(other.redis, { ...budgetPolicy(5, 900), ...policy })
  for (let n = 0; n < 4; n++) await crashed.reserve(address, randomUUID(), false)
  const slow = openAttempt(running, address)
  await slow.started

  t.equal(
    await signIn(other, address),
    'signed in',
    'an attempt waits until a reservation of the crashed process expires',
  )
  await delay(1500)
  slow.fail()
  t.match(await slow.result.catch(error => error), { reason: 'invalid_credentials', quota: { remaining: 4 } })
})

t.test('the result of an attempt that has lost its reservation is withheld', async t => {
  const throttle = openThrottle(t)
  const address = newAddress()
  for (const decide of ['succeed', 'fail'] as const) {
    const attempt = openAttempt(throttle, address)
    await attempt.started
    await throttle.redis.del(budgetKey(address))
    attempt[decide]()
    await t.rejects(attempt.result, { code: Code.UNAVAILABLE })
  }
})

t.test('IPv6 addresses of one /64 share a budget, and so do attempts without an address', async t => {
  const throttle = openThrottle(t)
  for (const addresses of [
    ['2001:db8:7:7::1', '2001:db8:7:7:ffff::2'],
    ['', 'no address'],
    ['203.0.113.9', '::ffff:203.0.113.9'],
  ]) {
    const [one = '', two = ''] = addresses
    for (let n = 0; n < 5; n++) t.match(await guess(throttle, n % 2 ? one : two), { reason: 'invalid_credentials' })
    t.match(await guess(throttle, one), LIMITED)
  }
})

t.test('while Redis is unavailable or has lost its data, a process keeps to the budget by its own count', async t => {
  const redis = await startTestRedis(t)
  const throttle = openThrottle(t, { url: redis.url })
  const address = newAddress()
  for (let n = 0; n < 3; n++) t.match(await guess(throttle, address), { reason: 'invalid_credentials' })
  const inFlight = openAttempt(throttle, address)
  await inFlight.started

  await redis.kill()
  inFlight.fail()
  await t.rejects(inFlight.result, { code: Code.UNAVAILABLE }, 'Redis could not count the failure, so it is withheld')
  const guesses = await Promise.all(Array.from({ length: 10 }, () => guess(throttle, address)))
  t.strictSame(reasonsOf(guesses), { invalid_credentials: 1, rate_limited: 9 })
  t.equal(throttle.isLocal, true)
  const office = newAddress()
  const signIns = await Promise.all(Array.from({ length: 8 }, () => signIn(throttle, office)))
  t.equal(signIns.length, 8, 'the password of correct sign-ins is still verified')

  await redis.restart()
  await until(
    async () => {
      await signIn(throttle, newAddress()).catch(() => {})
      return throttle.isLocal
    },
    isLocal => !isLocal,
    { timeoutMs: 20_000 },
  )
  await throttle.redis.flushall()
  t.match(await guess(throttle, address), LIMITED, 'the failures that Redis has lost still count')
})
