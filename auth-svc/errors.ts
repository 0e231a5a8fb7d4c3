/** The errors of auth-svc. Each reason is explained in docs/errors.md. */
import { Code, invalidArgument, notFound, StatusError, unauthenticated, unavailable } from '#runtime/status.ts'

/** The same whether the address is unknown or the password wrong. */
export const invalidCredentials = () => unauthenticated('invalid_credentials', 'E-mail address or password is wrong')

export const emailTaken = () =>
  new StatusError(Code.ALREADY_EXISTS, 'Another account has this e-mail address', { reason: 'email_taken' })

export const isEmailTaken = (error: unknown): boolean => error instanceof StatusError && error.reason === 'email_taken'

export const badEmail = () => invalidArgument([{ field: 'email', description: 'is not an e-mail address' }])

/** @param complaint what makes the password easy to guess, as a sentence. */
export const weakPassword = (complaint: string) =>
  invalidArgument([{ field: 'password', description: `is too easy to guess. ${complaint}`.trimEnd() }])

export const refreshTokenInvalid = () =>
  unauthenticated('refresh_token_invalid', 'The refresh token is not one of ours, or there is none')

export const refreshTokenReused = () =>
  unauthenticated('refresh_token_reused', 'The refresh token was used before; sign in again')

export const sessionEnded = () => unauthenticated('session_ended', 'The session has ended; sign in again')

export const sessionNotFound = () => notFound('session')

export const overloaded = (retryAfterMs: number) =>
  unavailable('Too many people are signing in right now', { reason: 'overloaded', retryAfterMs })

export const hashingFailed = (cause: unknown) => unavailable('Passwords cannot be checked right now', { cause })

export const callerGone = () => new StatusError(Code.CANCELLED, 'The caller has gone', { reason: 'cancelled' })

export const redisUnavailable = (cause: unknown) => unavailable('Sessions cannot be reached right now', { cause })

export const usersUnavailable = (cause: unknown) => unavailable('Users cannot be reached right now', { cause })
