/**
 * The gateway as it is usually written with Express, for comparison: token by jsonwebtoken, rate limit by
 * rate-limit-redis, the rest by http-proxy-middleware over kept connections. HS256, since jsonwebtoken has no EdDSA; a
 * verification by it costs less. No revocation, no transcoding, no metrics, no traces, no access log.
 *
 * Arguments: port, origin of the backend, Redis. The secret comes by the environment.
 */
import { Agent } from 'node:http'
import express, { type RequestHandler, type Response } from 'express'
import { rateLimit } from 'express-rate-limit'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { Redis } from 'ioredis'
import jwt from 'jsonwebtoken'
import { type RedisReply, RedisStore } from 'rate-limit-redis'

const [, , port, target, redisUrl] = process.argv
const secret = String(process.env['JWT_SECRET'])
const redis = new Redis(String(redisUrl))

const authenticate: RequestHandler = (request, response, next) => {
  const [, token = ''] = (request.headers.authorization ?? '').split(' ')
  try {
    response.locals['user'] = jwt.verify(token, secret, {
      algorithms: ['HS256'],
      issuer: 'http://127.0.0.1:3000',
      audience: 'gatehouse',
    })
    next()
  } catch {
    response.status(401).json({ error: 'unauthorized' })
  }
}

const limit = rateLimit({
  windowMs: 60_000,
  limit: 1_000_000_000,
  standardHeaders: 'draft-8',
  legacyHeaders: false,
  keyGenerator: (_request, response: Response) => response.locals['user'].sub,
  store: new RedisStore({
    sendCommand: (command: string, ...args: string[]) => redis.call(command, ...args) as Promise<RedisReply>,
  }),
})

const app = express()
app.use(authenticate, limit)
app.use(createProxyMiddleware({ target, changeOrigin: true, agent: new Agent({ keepAlive: true }) }))
app.listen(Number(port), '127.0.0.1')
