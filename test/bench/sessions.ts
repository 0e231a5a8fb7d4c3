/** People signed in through the gateway, and what they do there: over kept connections, one request at a time each. */
import { Agent, request } from 'node:http'

export interface Person {
  readonly accessToken: string
  /** The latest: each refresh replaces it. */
  refreshToken: string
}

export interface SessionClient {
  signUp(email: string): Promise<Person>
  login(email: string): Promise<Person>
  /** @throws unless the token was rotated. */
  refresh(person: Person): Promise<void>
  /** A POST of JSON. @throws unless it succeeds. */
  post(path: string, body: object): Promise<string>
  close(): void
}

const PASSWORD = 'a plain but lengthy phrase'

export function createSessionClient(origin: string): SessionClient {
  const { hostname, port } = new URL(origin)
  const agent = new Agent({ keepAlive: true })

  function post(path: string, body: object): Promise<string> {
    const text = JSON.stringify(body)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    return new Promise((resolve, reject) => {
      const sent = request({ hostname, port, agent, path, method: 'POST', headers }, response => {
        let answer = ''
        response.setEncoding('utf8').on('data', chunk => {
          answer += chunk
        })
        response.on('end', () => {
          if (response.statusCode === 200 || response.statusCode === 201) resolve(answer)
          else reject(new Error(`${path} was answered ${response.statusCode}: ${answer}`))
        })
      })
      sent.on('error', reject).end(text)
    })
  }

  const start = async (path: string, body: object): Promise<Person> => {
    const { accessToken, refreshToken } = JSON.parse(
      await post(path, { ...body, password: PASSWORD, tokenDelivery: 'body' }),
    )
    return { accessToken, refreshToken }
  }

  return {
    signUp: email => start('/v1/auth/signup', { email, name: 'Ada Lovelace' }),
    login: email => start('/v1/auth/login', { email }),
    async refresh(person) {
      const { refreshToken } = JSON.parse(await post('/v1/auth/refresh', { refreshToken: person.refreshToken }))
      if (typeof refreshToken !== 'string' || refreshToken === person.refreshToken) throw new Error('Not rotated')
      person.refreshToken = refreshToken
    },
    post,
    close: () => agent.destroy(),
  }
}
