/** The errors of user-svc. Each reason is explained in docs/errors.md. */
import { Code, invalidArgument, notFound, permissionDenied, StatusError } from '#runtime/status.ts'

export const userNotFound = () => notFound('user')

export const emailTaken = () =>
  new StatusError(Code.ALREADY_EXISTS, 'Another account has this e-mail address', { reason: 'email_taken' })

export const accountClosed = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The account was closed', { reason: 'account_closed' })

export const accountErased = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The account was erased, and nothing of it is left to be opened', {
    reason: 'account_erased',
  })

export const erasureNotFound = () => notFound('erasure')

export const lastAdministrator = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The last administrator cannot be demoted, closed or erased', {
    reason: 'last_administrator',
  })

export const noAdministrator = () => permissionDenied('You are no administrator any more')

export const documentNotFound = () => notFound('document')

export const commentNotFound = () => notFound('comment')

export const grantNotFound = () => notFound('grant')

export const documentForbidden = () => permissionDenied('You may read this document, but not do that with it')

export const commentForbidden = () => permissionDenied('You may read this comment, but not delete it')

export const etagMismatch = () =>
  new StatusError(Code.ABORTED, 'The document was changed: it no longer has an etag of If-Match', {
    reason: 'etag_mismatch',
  })

export const changedMeanwhile = () =>
  new StatusError(Code.ABORTED, 'Another change came in between', { reason: 'aborted' })

export const invalidPageToken = () =>
  invalidArgument([{ field: 'pageToken', description: 'is not the nextPageToken of this list' }])
