/** What virtual users do, once an iteration. The scripts say how many and how often. */
import { get, patch } from 'k6/http'
import { accept } from './answers.ts'
import { baseUrl } from './environment.ts'
import { authorization, refresh as refreshSession, signIn } from './session.ts'

export function login(): void {
  signIn()
}

export function refresh(): void {
  refreshSession()
}

/** One's own account, and every tenth time one's sessions. */
export function read(): void {
  const headers = authorization()
  if (headers === undefined) return
  accept(get(`${baseUrl}/v1/users/me`, { headers, tags: { name: 'read' } }), 'read', 200)
  if (__ITER % 10 !== 0) return
  accept(get(`${baseUrl}/v1/auth/sessions`, { headers, tags: { name: 'sessions' } }), 'sessions', 200)
}

export function write(): void {
  const authorized = authorization()
  if (authorized === undefined) return
  const headers = { ...authorized, 'content-type': 'application/json' }
  const body = JSON.stringify({ name: `Ada ${__VU}.${__ITER}` })
  accept(patch(`${baseUrl}/v1/users/me`, body, { headers, tags: { name: 'write' } }), 'write', 200)
}
