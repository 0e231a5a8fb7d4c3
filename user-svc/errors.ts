/** The errors of user-svc. Each reason is explained in docs/errors.md. */
import { Code, invalidArgument, notFound, StatusError } from '#runtime/status.ts'

export const userNotFound = () => notFound('user')

export const emailTaken = () =>
  new StatusError(Code.ALREADY_EXISTS, 'Another account has this e-mail address', { reason: 'email_taken' })

export const accountClosed = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The account was closed', { reason: 'account_closed' })

export const lastAdministrator = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The last administrator cannot be demoted or closed', {
    reason: 'last_administrator',
  })

export const invalidPageToken = () =>
  invalidArgument([{ field: 'pageToken', description: 'is not the nextPageToken of this list' }])
