/** The verified identity of a caller. */

/** Roles of a user at the edge, from least to most privileged. */
export type Role = 'user' | 'editor' | 'moderator' | 'admin'

/** A user, identified by an access token. All times are milliseconds since the epoch. */
export interface UserPrincipal {
  readonly kind: 'user'
  /** The `sub` claim. */
  readonly userId: string
  /** The `sid` claim. */
  readonly sessionId: string
  /** The `jti` claim. */
  readonly tokenId: string
  readonly role: Role
  readonly email: string
  readonly issuedAt: number
  readonly expiresAt: number
  /** Time of the last authentication of the user, the `auth_time` claim (OpenID Connect Core section 2). */
  readonly authenticatedAt: number
}

/** A service of this system, identified by a service token. */
export interface ServicePrincipal {
  readonly kind: 'service'
  /** The `sub` claim, such as `auth-svc`. */
  readonly service: string
}

export type Principal = UserPrincipal | ServicePrincipal
