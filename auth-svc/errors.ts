/** The errors of auth-svc. docs/errors.md describes every reason. Messages are shown to clients. */
import type { Quota } from '#runtime/quota.ts'
import {
  Code,
  invalidArgument,
  notFound,
  permissionDenied,
  StatusError,
  unauthenticated,
  unavailable,
} from '#runtime/status.ts'

/**
 * The same error for an unknown address and a wrong password, so that it does not reveal which addresses exist.
 * @param quota remaining failures of the client address.
 */
export const invalidCredentials = (quota?: Quota) =>
  new StatusError(Code.UNAUTHENTICATED, 'Wrong e-mail address or password', {
    reason: 'invalid_credentials',
    ...(quota && { quota }),
  })

export const isInvalidCredentials = (error: unknown): boolean =>
  error instanceof StatusError && error.reason === 'invalid_credentials'

/** Failed sign-ins have used up the budget of the client address. @param retryAfterMs until the next attempt. */
export const tooManyFailures = (quota: Quota, retryAfterMs: number) =>
  rateLimited(`Too many failed sign-ins from this address (${quota.limit} per ${quota.windowS} s)`, quota, retryAfterMs)

/** Undecided attempts hold the budget of the client address, and no more may wait, or not any longer. */
export const tooManyWaiting = (quota: Quota) =>
  rateLimited('Too many sign-ins from this address at a time', { ...quota, remaining: 0, resetS: 1 }, 1000)

function rateLimited(problem: string, quota: Quota, retryAfterMs: number): StatusError {
  const message = `${problem}. Retry after ${Math.ceil(retryAfterMs / 1000)} s.`
  return new StatusError(Code.RESOURCE_EXHAUSTED, message, { reason: 'rate_limited', retryAfterMs, quota })
}

/** The reservation of an attempt expired before its result was known. The result is withheld. */
export const attemptExpired = () => unavailable('The sign-in took too long. Try again.', { retryAfterMs: 1000 })

/** Another account, or another user of user-svc, has the e-mail address. */
export const emailTaken = () =>
  new StatusError(Code.ALREADY_EXISTS, 'Another account has this e-mail address', { reason: 'email_taken' })

export const isEmailTaken = (error: unknown): boolean => error instanceof StatusError && error.reason === 'email_taken'

/** The field `email` cannot be normalized. */
export const badEmail = () => invalidArgument([{ field: 'email', description: 'is not an e-mail address' }])

/** @param weakness a result of `PasswordStrength.findWeakness`. */
export const weakPassword = (weakness: string) =>
  invalidArgument([{ field: 'password', description: `is too easy to guess. ${weakness}`.trimEnd() }])

/** The request has no refresh token, or one that auth-svc has not issued. */
export const refreshTokenInvalid = () =>
  unauthenticated('refresh_token_invalid', 'The refresh token is missing or invalid. Sign in again.')

/** The refresh token was rotated before. Sessions have ended, as `REUSE_SCOPE` says. */
export const refreshTokenReused = () =>
  unauthenticated('refresh_token_reused', 'The refresh token has already been used. Sign in again.')

/** The session has ended or expired, or Redis has lost its refresh token family. */
export const sessionEnded = () => unauthenticated('session_ended', 'The session has ended. Sign in again.')

/** The user has no such active session. */
export const sessionNotFound = () => notFound('session')

/** Only the user and administrators may read the sessions of a user. */
export const sessionsForbidden = () => permissionDenied('You may not read the sessions of this user')

/** @param retryAfterMs estimated time until the queue of passwords has room, in milliseconds. */
export const overloaded = (retryAfterMs: number) =>
  unavailable('Too many requests with passwords are waiting', { reason: 'overloaded', retryAfterMs })

/** A bcrypt thread has crashed. */
export const hashingFailed = (cause: unknown) => unavailable('Passwords cannot be verified at the moment', { cause })

/** The thread of the password strength check has crashed or does not respond. */
export const strengthCheckFailed = (cause: unknown) =>
  unavailable('Passwords cannot be checked at the moment', { cause })

/** The client has cancelled the request, or its deadline has passed. */
export const requestCancelled = () => new StatusError(Code.CANCELLED, 'Request cancelled', { reason: 'cancelled' })

/** The message does not reveal the cause. */
export const redisUnavailable = (cause: unknown) => unavailable('The session store is unavailable', { cause })

/** user-svc is unavailable, or has failed. The message does not reveal the cause. */
export const usersUnavailable = (cause: unknown) => unavailable('The user service is unavailable', { cause })
