/** The errors of user-svc. docs/errors.md documents each reason. */
import { Code, invalidArgument, notFound, permissionDenied, StatusError, unavailable } from '#runtime/status.ts'

/** No active user has the id. */
export const userNotFound = () => notFound('user')

/** Another active user has the e-mail address. */
export const emailTaken = () =>
  new StatusError(Code.ALREADY_EXISTS, 'Another account has this e-mail address', { reason: 'email_taken' })

/** The id belongs to a deactivated or erased user. */
export const accountDeactivated = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The account is deactivated', { reason: 'account_closed' })

export const accountErased = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The account is erased and cannot be restored or exported', {
    reason: 'account_erased',
  })

/** auth-svc is unavailable, or has failed. The message does not reveal the cause. */
export const sessionsUnavailable = (cause: unknown) =>
  unavailable('The sessions of the user are unavailable', { cause })

/** There is no receipt for the user. */
export const erasureNotFound = () => notFound('erasure')

/** The change would leave no active administrator. */
export const lastAdministrator = () =>
  new StatusError(Code.FAILED_PRECONDITION, 'The last administrator cannot be demoted, deactivated or erased', {
    reason: 'last_administrator',
  })

/** The caller lost the role after the access token was issued. */
export const notAdministrator = () => permissionDenied('You are no longer an administrator')

/** The document does not exist, or the caller may not read it. */
export const documentNotFound = () => notFound('document')

/** The document has no such comment. */
export const commentNotFound = () => notFound('comment')

/** The user has no grant on the document. */
export const grantNotFound = () => notFound('grant')

/** Only for a document that the caller may read; otherwise `documentNotFound`. */
export const documentForbidden = () => permissionDenied('You may read this document, but not perform this action on it')

export const commentForbidden = () => permissionDenied('You may read this comment, but not delete it')

/** None of the entity tags of If-Match is current. */
export const etagMismatch = () =>
  new StatusError(Code.ABORTED, 'The document has changed: its etag does not match If-Match', {
    reason: 'etag_mismatch',
  })

/** A concurrent change between a statement and the check of its result. A retry may succeed. */
export const concurrentChange = () =>
  new StatusError(Code.ABORTED, 'A concurrent change prevented this one. Retry the request.', { reason: 'aborted' })

/** The page token is malformed, forged, or belongs to another list, filter, order or caller. */
export const invalidPageToken = () =>
  invalidArgument([{ field: 'pageToken', description: 'must be a nextPageToken of the same list' }])
