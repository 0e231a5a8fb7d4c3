/**
 * A typical Express gateway for comparison: jsonwebtoken, rate-limit-redis, and http-proxy-middleware with keep-alive
 * connections. Tokens are HS256, because jsonwebtoken does not support EdDSA; HS256 costs less to verify. No
 * revocation, transcoding, metrics, traces or access log.
 *
 * Arguments: port, origin of the backend, URL of Redis. Environment: JWT_SECRET.
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
