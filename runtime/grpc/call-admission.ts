/** Authentication, authorization and validation of a call, from the policy and the field rules of its method. */
import type { DescMethod } from '@bufbuild/protobuf'
import { type Metadata, status } from '@grpc/grpc-js'
import { bearerToken } from '../auth/bearer-token.ts'
import type { Principal } from '../auth/principal.ts'
import type { TokenVerifier } from '../auth/token-verifier.ts'
import { invalidArgument, permissionDenied, StatusError, unauthenticated } from '../status.ts'
import type { Call } from './call.ts'
import { AccessLevel, type Policy, requirePolicy } from './contract.ts'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT, firstValue } from './metadata.ts'
import { findNul } from './nul-check.ts'
import { compileRules } from './rules.ts'

/**
 * Admits a call and returns the context for its handler.
 * @param getSignal called when the handler reads `call.signal`.
 * @throws StatusError UNAUTHENTICATED, PERMISSION_DENIED or, for an invalid message, INVALID_ARGUMENT.
 */
export type Admit = (request: object, metadata: Metadata, getSignal: () => AbortSignal) => Promise<Call>

/** @throws ContractError if the method has no valid policy or its message has invalid rules. */
export function createAdmission(method: DescMethod, verifier: TokenVerifier): Admit {
  const policy = requirePolicy(method)
  const validate = compileRules(method.input)

  return async (request, metadata, getSignal) => {
    const principal = await authenticate(policy, metadata, verifier)
    authorize(policy, principal)
    // Last, so that a caller without access learns nothing about the message.
    const violations = [...validate(request), ...findNul(request)]
    if (violations.length > 0) throw invalidArgument(violations)
    return {
      principal,
      client: {
        address: firstValue(metadata, CLIENT_ADDRESS) ?? '',
        userAgent: firstValue(metadata, CLIENT_USER_AGENT) ?? '',
      },
      get token() {
        return principal && bearerToken(firstValue(metadata, 'authorization'))
      },
      get signal() {
        return getSignal()
      },
    }
  }
}

async function authenticate(
  policy: Policy,
  metadata: Metadata,
  verifier: TokenVerifier,
): Promise<Principal | undefined> {
  if (policy.access === AccessLevel.PUBLIC || policy.access === AccessLevel.INTERNAL) return undefined
  const token = bearerToken(firstValue(metadata, 'authorization'))
  if (token === undefined) return undefined
  if (!policy.tolerateInvalidToken) return verifier.verify(token)
  return verifier.verify(token).catch(error => {
    if (error instanceof StatusError && error.code === status.UNAUTHENTICATED) return undefined
    throw error
  })
}

function authorize(policy: Policy, principal: Principal | undefined): void {
  const requiresService = policy.access === AccessLevel.SERVICE
  const requiresUser = policy.access === AccessLevel.USER || policy.access === AccessLevel.ROLES
  if ((requiresService || requiresUser) && principal === undefined) {
    throw unauthenticated('unauthenticated', 'Sign in first')
  }
  if (principal !== undefined && (principal.kind === 'service') !== requiresService) {
    throw permissionDenied(`This method requires a ${requiresService ? 'service' : 'user'} token`)
  }
  if (policy.access === AccessLevel.ROLES && principal?.kind === 'user' && !policy.roles.includes(principal.role)) {
    throw permissionDenied(`This method requires one of the roles ${policy.roles.join(', ')}`)
  }
}
