import { AccessLevel, type Policy } from '#runtime/contract.ts'
import type { UserPrincipal } from '#runtime/principal.ts'
import { permissionDenied } from '#runtime/status.ts'

/** Role-based access by the policy of the method. What depends on a row is decided where the row is. */
export function authorize(policy: Policy, principal: UserPrincipal | undefined): void {
  if (policy.access !== AccessLevel.ROLES) return
  if (principal === undefined || !policy.roles.includes(principal.role)) {
    throw permissionDenied(`This takes one of the roles ${policy.roles.join(', ')}`)
  }
}
