/** A client that signs users in and refreshes their sessions through the gateway, with keep-alive connections. */
import { Agent, request } from 'node:http'

export interface Session {
  readonly accessToken: string
  /** The current refresh token; each refresh replaces it. */
  refreshToken: string
}

export interface SessionClient {
  signUp(email: string): Promise<Session>
  login(email: string): Promise<Session>
  /** Rotates the refresh token. @throws if it was not rotated. */
  refresh(session: Session): Promise<void>
  /** Sends JSON with POST. @returns the body of the response. @throws if the status is not 200 or 201. */
  post(path: string, body: object): Promise<string>
  close(): void
}

const PASSWORD = 'a plain but lengthy phrase'

/** @param origin scheme, host and port of the gateway. */
export function createSessionClient(origin: string): SessionClient {
  const { hostname, port } = new URL(origin)
  const agent = new Agent({ keepAlive: true })

  function post(path: string, body: object): Promise<string> {
    const json = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) }
    return new Promise((resolve, reject) => {
      const sent = request({ hostname, port, agent, path, method: 'POST', headers }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', chunk => {
          text += chunk
        })
        response.on('end', () => {
          if (response.statusCode === 200 || response.statusCode === 201) resolve(text)
          else reject(new Error(`${path} returned ${response.statusCode}: ${text}`))
        })
      })
      sent.on('error', reject).end(json)
    })
  }

  const start = async (path: string, body: object): Promise<Session> => {
    const { accessToken, refreshToken } = JSON.parse(
      await post(path, { ...body, password: PASSWORD, tokenDelivery: 'body' }),
    )
    return { accessToken, refreshToken }
  }

  return {
    signUp: email => start('/v1/auth/signup', { email, name: 'Ada Lovelace' }),
    login: email => start('/v1/auth/login', { email }),
    async refresh(session) {
      const { refreshToken } = JSON.parse(await post('/v1/auth/refresh', { refreshToken: session.refreshToken }))
      if (typeof refreshToken !== 'string' || refreshToken === session.refreshToken)
        throw new Error('The refresh token was not rotated')
      session.refreshToken = refreshToken
    },
    post,
    close: () => agent.destroy(),
  }
}
