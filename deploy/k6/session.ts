/** The session of one virtual user. k6 loads modules anew for each, so what stands here is its own. */
import { post, type Response } from 'k6/http'
import { accept } from './answers.ts'
import { baseUrl, type User, users } from './environment.ts'

interface Session {
  accessToken: string
  refreshToken: string
  /** Milliseconds since the epoch, when half of the access token's life is over. */
  refreshAt: number
}

let session: Session | undefined

/** @returns undefined when it was refused. */
export function signIn(): Session | undefined {
  const { email, password } = users[(__VU - 1) % users.length] as User
  return keep(send('login', '/v1/auth/login', { email, password, tokenDelivery: 'body' }), 'login')
}

/** Rotates the refresh token. A session that has ended is forgotten, and the next request signs in. */
export function refresh(): Session | undefined {
  if (session === undefined) return signIn()
  return keep(send('refresh', '/v1/auth/refresh', { refreshToken: session.refreshToken }), 'refresh')
}

/** For a request that takes a signed-in user. @returns undefined when signing in was refused. */
export function authorization(): { authorization: string } | undefined {
  if (session === undefined) signIn()
  else if (Date.now() >= session.refreshAt) refresh()
  return session && { authorization: `Bearer ${session.accessToken}` }
}

function keep(response: Response, name: string): Session | undefined {
  session = undefined
  if (!accept(response, name, 200)) return undefined
  const { accessToken, refreshToken, expiresIn } = response.json() as Record<string, string> & { expiresIn: number }
  if (accessToken === undefined || refreshToken === undefined) throw new Error(`${name} answered no tokens`)
  session = { accessToken, refreshToken, refreshAt: Date.now() + expiresIn * 500 }
  return session
}

function send(name: string, path: string, body: object): Response {
  const headers = { 'content-type': 'application/json' }
  return post(baseUrl + path, JSON.stringify(body), { headers, tags: { name } })
}
