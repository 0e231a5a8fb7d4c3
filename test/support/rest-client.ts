/** The REST API as a client sees it. */
import { randomUUID } from 'node:crypto'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The parsed body; undefined when there is none. */
  readonly body: unknown
}

export interface RequestOptions {
  token?: string
  /** Sent as JSON. */
  body?: unknown
  headers?: Record<string, string>
}

/** @param url such as `http://127.0.0.1:3000/v1/users/me`. */
export async function request(method: string, url: string, options: RequestOptions = {}): Promise<Answer> {
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

export interface SignedIn {
  readonly accessToken: string
  readonly refreshToken: string
  readonly user: { readonly id: string; readonly email: string; readonly name: string; readonly role: string }
}

export const PASSWORD = 'a plain but lengthy phrase'

export function someEmail(): string {
  return `ada-${randomUUID()}@example.com`
}

/** Signs somebody new up, who gets both tokens in the body. @throws unless the answer is 201. */
export async function signUp(gateway: string, email = someEmail()): Promise<SignedIn> {
  const body = { email, password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const answer = await request('POST', `${gateway}/v1/auth/signup`, { body })
  if (answer.status !== 201) throw new Error(`Sign-up answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body as SignedIn
}

export function login(gateway: string, email: string, password = PASSWORD): Promise<Answer> {
  return request('POST', `${gateway}/v1/auth/login`, { body: { email, password, tokenDelivery: 'body' } })
}

/** @throws unless the answer is 200. */
export async function signIn(gateway: string, email: string, password = PASSWORD): Promise<SignedIn> {
  const answer = await login(gateway, email, password)
  if (answer.status !== 200) throw new Error(`Login answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body as SignedIn
}

export function refresh(gateway: string, refreshToken: string): Promise<Answer> {
  return request('POST', `${gateway}/v1/auth/refresh`, { body: { refreshToken } })
}

export function whoAmI(gateway: string, token: string): Promise<Answer> {
  return request('GET', `${gateway}/v1/users/me`, { token })
}
