/** The session of one virtual user. k6 loads modules once per virtual user, so module variables are not shared. */
import { post, type Response } from 'k6/http'
import { baseUrl, type User, users } from './environment.ts'
import { checkResponse } from './response-check.ts'

interface Session {
  accessToken: string
  refreshToken: string
  /** Time at which half of the lifetime of the access token has passed, in milliseconds since the epoch. */
  refreshAt: number
}

let session: Session | undefined

/** Signs in as one of USERS. @returns undefined if the request failed. */
export function signIn(): Session | undefined {
  const { email, password } = users[(__VU - 1) % users.length] as User
  return store(send('login', '/v1/auth/login', { email, password, tokenDelivery: 'body' }), 'login')
}

/** Rotates the refresh token. If that fails, drops the session, and the next request signs in. */
export function refresh(): Session | undefined {
  if (session === undefined) return signIn()
  return store(send('refresh', '/v1/auth/refresh', { refreshToken: session.refreshToken }), 'refresh')
}

/** Returns the header of an authenticated request. Signs in or refreshes if necessary; undefined if that fails. */
export function authorization(): { authorization: string } | undefined {
  if (session === undefined) signIn()
  else if (Date.now() >= session.refreshAt) refresh()
  return session && { authorization: `Bearer ${session.accessToken}` }
}

function store(response: Response, name: string): Session | undefined {
  session = undefined
  if (!checkResponse(response, name, 200)) return undefined
  const { accessToken, refreshToken, expiresIn } = response.json() as Record<string, string> & { expiresIn: number }
  if (accessToken === undefined || refreshToken === undefined)
    throw new Error(`The response of ${name} contains no tokens`)
  session = { accessToken, refreshToken, refreshAt: Date.now() + expiresIn * 500 }
  return session
}

function send(name: string, path: string, body: object): Response {
  const headers = { 'content-type': 'application/json' }
  return post(baseUrl + path, JSON.stringify(body), { headers, tags: { name } })
}
