import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { permissionDenied, unauthenticated } from '#runtime/status.ts'

/** Role-based access by the policy of the method. What depends on a row is decided where the row is. */
export function authorize(policy: Policy, principal: UserPrincipal | undefined): void {
  const wantsUser = policy.access === AccessLevel.USER || policy.access === AccessLevel.ROLES
  if (wantsUser && principal === undefined) throw unauthenticated('unauthenticated', 'Sign in first')
  if (policy.access === AccessLevel.ROLES && !policy.roles.includes(principal?.role ?? '')) {
    throw permissionDenied(`This takes one of the roles ${policy.roles.join(', ')}`)
  }
}
