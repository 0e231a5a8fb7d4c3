import type { Role } from '#runtime/auth/principal.ts'
import { type Call, userOf } from '#runtime/grpc/call.ts'

/** Who asks. The role is the token's, the department the database's. */
export interface Caller {
  readonly userId: string
  readonly role: Role
}

/** Who calls where nobody may: undefined has not signed in. */
export function callerOf(call: Call): Caller | undefined {
  return call.principal === undefined ? undefined : userOf(call)
}
