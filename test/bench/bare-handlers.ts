/**
 * Minimal Fastify handlers that the services are compared with: a fixed response, and a refresh without validation,
 * which runs one prepared SELECT, one Redis script and two Ed25519 signatures.
 */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { Agent, request } from 'node:http'
import { execa } from 'execa'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { cpuTimeOf } from './cpu.ts'

const CONCURRENCY = 32

const ROTATE = `
local current = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
redis.call('HSET', KEYS[1], 'generation', current + 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return current + 1
`

/** CPU per request of the server process, in microseconds. */
export interface BareCosts {
  readonly fixedResponse: number
  readonly refresh: number
}

/** Runs the handlers in a separate process and loads each for `seconds` seconds after a warm-up of 2 s. */
export async function measureBareHandlers(
  stores: { postgres: string; redis: string },
  seconds: number,
): Promise<BareCosts> {
  const child = execa(process.execPath, [import.meta.filename, '0', stores.postgres, stores.redis], {
    detached: true,
    reject: false,
  })
  const pid = child.pid as number
  try {
    const { value: port } = await child[Symbol.asyncIterator]().next()
    const cost = async (path: string) => {
      await load(Number(port), path, 2)
      const before = cpuTimeOf([pid])
      const responses = await load(Number(port), path, seconds)
      return (cpuTimeOf([pid]) - before) / responses
    }
    return { fixedResponse: await cost('/fixed'), refresh: await cost('/refresh') }
  } finally {
    child.kill()
    await child
  }
}

/** @returns the number of responses. */
async function load(port: number, path: string, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })
  const end = performance.now() + seconds * 1000
  let responses = 0
  async function loop(): Promise<void> {
    const body = path === '/fixed' ? '' : JSON.stringify({ refreshToken: randomUUID() })
    const method = body === '' ? 'GET' : 'POST'
    const headers = body === '' ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    while (performance.now() < end) {
      await new Promise<void>((resolve, reject) => {
        const sent = request({ port, agent, method, path, headers }, response => {
          response.resume().on('end', resolve)
          if (response.statusCode !== 200) reject(new Error(`${path} returned ${response.statusCode}`))
        })
        sent.on('error', reject).end(body)
      })
      responses++
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, loop))
  agent.destroy()
  return responses
}

async function serve(port: number, postgres: string, redisUrl: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: postgres, max: 5 })
  const redis = new Redis(redisUrl)
  redis.defineCommand('bareRotate', { numberOfKeys: 1, lua: ROTATE })
  const { bareRotate } = redis as unknown as { bareRotate(key: string, ttlMs: number): Promise<number> }
  const { privateKey } = generateKeyPairSync('ed25519')
  const signToken = (claims: object) => {
    const input = `${encode({ alg: 'EdDSA', typ: 'JWT' })}.${encode(claims)}`
    return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
  }
  const app = fastify()
  app.get('/fixed', (_request, reply) => reply.send({ id: 'fixed' }))
  app.post<{ Body: { refreshToken: string } }>('/refresh', async ({ body }) => {
    const { refreshToken } = body
    const { rows } = await pool.query({
      name: 'session',
      text: 'select id, user_id, expires_at from auth.sessions where id = $1',
      values: [refreshToken],
    })
    const generation = await bareRotate.call(redis, `bare:${refreshToken}`, 60_000)
    const sub = rows[0]?.user_id ?? refreshToken
    return {
      accessToken: signToken({ sub, sid: refreshToken, exp: 1 }),
      refreshToken: signToken({ sid: refreshToken, generation }),
    }
  })
  console.log(new URL(await app.listen({ port })).port)
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

if (import.meta.main) {
  const [, , port, postgres, redis] = process.argv
  await serve(Number(port), String(postgres), String(redis))
}
