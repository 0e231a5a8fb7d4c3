/** Cookies of a request and a response, as the contract declares them (`edge.v1.cookie`). */
import type {} from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Cookie, SameSite } from '#runtime/grpc/contract.ts'

export type Cookies = Readonly<Record<string, string | undefined>>

// Without a prototype, because a cookie may be named like a property of Object.
const NO_COOKIES: Cookies = Object.freeze(Object.create(null))

/** Parses the Cookie header. Call it only for methods that read a cookie. */
export function readCookies({ server, headers }: FastifyRequest): Cookies {
  return headers.cookie === undefined ? NO_COOKIES : server.parseCookie(headers.cookie)
}

export interface CookieChange {
  readonly cookie: Cookie
  /** The new value. An empty value deletes the cookie. */
  readonly value: string
  /** `Max-Age` in seconds; undefined for a cookie that lasts until the browser is closed. */
  readonly maxAge: number | undefined
}

/** Adds a Set-Cookie header. Cookies are always `Secure` and `HttpOnly`, and `SameSite=Strict` unless declared lax. */
export function writeCookie(reply: FastifyReply, { cookie, value, maxAge }: CookieChange): void {
  reply.setCookie(cookie.name, value, {
    path: cookie.path,
    secure: true,
    httpOnly: true,
    sameSite: cookie.sameSite === SameSite.LAX ? 'lax' : 'strict',
    ...(value === '' ? { maxAge: 0 } : maxAge !== undefined && { maxAge }),
  })
}
