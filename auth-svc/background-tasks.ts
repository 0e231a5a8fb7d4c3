import type { Logger } from '#runtime/observability/logger.ts'
import { type JobWorkerOptions, startJobWorker } from '#runtime/postgres/job-worker.ts'
import { type AccountChangesDependencies, followAccountChanges } from './account-changes.ts'
import type { SignUp } from './accounts/sign-up.ts'
import { COMPLETE_SIGN_UP, type CompleteSignUpPayload } from './accounts/sign-up-jobs.ts'
import { startPeriodicTask } from './periodic-task.ts'
import type { Revocations } from './revocations/revocations.ts'
import type { SessionRepository } from './sessions/session-repository.ts'
import { JOBS_SCHEMA } from './tables.ts'
import type { SigningKeys } from './tokens/signing-keys.ts'

export interface BackgroundTasks {
  /** Resolves when every task has finished its current run. */
  stop(): Promise<void>
}

export interface BackgroundTasksDependencies {
  accountChanges: AccountChangesDependencies
  jobs: Pick<JobWorkerOptions, 'databaseUrl' | 'preparedStatements'>
  keys: Pick<SigningKeys, 'rotate'>
  logger: Logger
  revocations: Pick<Revocations, 'publishPending' | 'deleteExpired'>
  sessionRepository: Pick<SessionRepository, 'deleteExpired'>
  signUp: Pick<SignUp, 'completePending' | 'reschedulePending'>
}

// Gateways fetch a snapshot when the heartbeat is older than 10 s.
const REVOCATION_INTERVAL_MS = 1000
const KEY_ROTATION_INTERVAL_MS = 10_000
const CLEAN_UP_INTERVAL_MS = 60_000

/**
 * Starts what auth-svc does without a request: sign-up jobs, account changes of user-svc, the revocation stream, key
 * rotation, and the deletion of expired rows. Several replicas may run these at the same time.
 * @throws if the job worker cannot connect to PostgreSQL.
 */
export async function startBackgroundTasks(dependencies: BackgroundTasksDependencies): Promise<BackgroundTasks> {
  const { accountChanges, jobs, keys, logger, revocations, sessionRepository, signUp } = dependencies

  async function cleanUp(): Promise<void> {
    await signUp.reschedulePending()
    await revocations.deleteExpired()
    await sessionRepository.deleteExpired()
  }

  const periodically = (name: string, intervalMs: number, run: () => Promise<unknown>) =>
    startPeriodicTask({ name, intervalMs, logger, run })
  const worker = await startJobWorker({
    ...jobs,
    schema: JOBS_SCHEMA,
    logger,
    tasks: { [COMPLETE_SIGN_UP]: payload => signUp.completePending((payload as CompleteSignUpPayload).userId) },
  })
  const tasks = [
    worker,
    followAccountChanges(accountChanges),
    periodically('revocation publishing', REVOCATION_INTERVAL_MS, () => revocations.publishPending()),
    periodically('key rotation', KEY_ROTATION_INTERVAL_MS, () => keys.rotate()),
    periodically('clean-up', CLEAN_UP_INTERVAL_MS, cleanUp),
  ]
  return {
    async stop() {
      await Promise.all(tasks.map(task => task.stop()))
    },
  }
}
