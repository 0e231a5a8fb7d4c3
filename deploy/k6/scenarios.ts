/** The requests of one iteration of each scenario. The scripts define how many iterations run. */
import { get, patch } from 'k6/http'
import { baseUrl } from './environment.ts'
import { checkResponse } from './response-check.ts'
import { authorization, refresh as refreshSession, signIn } from './session.ts'

export function login(): void {
  signIn()
}

export function refresh(): void {
  refreshSession()
}

/** Reads the user's own profile, and in every tenth iteration their sessions. */
export function read(): void {
  const headers = authorization()
  if (headers === undefined) return
  checkResponse(get(`${baseUrl}/v1/users/me`, { headers, tags: { name: 'read' } }), 'read', 200)
  if (__ITER % 10 !== 0) return
  checkResponse(get(`${baseUrl}/v1/auth/sessions`, { headers, tags: { name: 'sessions' } }), 'sessions', 200)
}

/** Changes the name of the user. */
export function write(): void {
  const authorized = authorization()
  if (authorized === undefined) return
  const headers = { ...authorized, 'content-type': 'application/json' }
  const body = JSON.stringify({ name: `Ada ${__VU}.${__ITER}` })
  checkResponse(patch(`${baseUrl}/v1/users/me`, body, { headers, tags: { name: 'write' } }), 'write', 200)
}
