/** A client of the REST API, for end-to-end tests. */
import { randomUUID } from 'node:crypto'

/** An HTTP response with a parsed body. */
export interface RestResponse {
  readonly status: number
  readonly headers: Headers
  /** The JSON of the body; undefined for an empty body. */
  readonly body: unknown
}

export interface RequestOptions {
  /** Access token, sent as `Authorization: Bearer`. */
  token?: string
  /** Sent as JSON. */
  body?: unknown
  headers?: Record<string, string>
}

/** Sends a request. @param url such as `http://127.0.0.1:3000/v1/users/me`. */
export async function request(method: string, url: string, options: RequestOptions = {}): Promise<RestResponse> {
  const { token, body, headers } = options
  const response = await fetch(url, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
}

/** Tokens and profile in the response to a sign-up or sign-in. */
export interface SignedIn {
  readonly accessToken: string
  readonly refreshToken: string
  readonly user: { readonly id: string; readonly email: string; readonly name: string; readonly role: string }
}

/** Password of every account that this module creates. */
export const PASSWORD = 'a plain but lengthy phrase'

/** Returns an e-mail address that is not registered. */
export function uniqueEmail(): string {
  return `ada-${randomUUID()}@example.com`
}

/** Signs up a new user, with both tokens in the body. @throws Error if the status is not 201. */
export async function signUp(gateway: string, email = uniqueEmail()): Promise<SignedIn> {
  const body = { email, password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const response = await request('POST', `${gateway}/v1/auth/signup`, { body })
  if (response.status !== 201) throw new Error(`Sign-up failed: ${response.status} ${JSON.stringify(response.body)}`)
  return response.body as SignedIn
}

/** Sends a sign-in request, with both tokens in the body of the response. */
export function login(gateway: string, email: string, password = PASSWORD): Promise<RestResponse> {
  return request('POST', `${gateway}/v1/auth/login`, { body: { email, password, tokenDelivery: 'body' } })
}

/** Signs in. @throws Error if the status is not 200. */
export async function signIn(gateway: string, email: string, password = PASSWORD): Promise<SignedIn> {
  const response = await login(gateway, email, password)
  if (response.status !== 200) throw new Error(`Sign-in failed: ${response.status} ${JSON.stringify(response.body)}`)
  return response.body as SignedIn
}

/** Sends a refresh request with the refresh token in the body. */
export function refresh(gateway: string, refreshToken: string): Promise<RestResponse> {
  return request('POST', `${gateway}/v1/auth/refresh`, { body: { refreshToken } })
}

/** Requests the profile of the token's user: `GET /v1/users/me`. */
export function getMe(gateway: string, token: string): Promise<RestResponse> {
  return request('GET', `${gateway}/v1/users/me`, { token })
}
