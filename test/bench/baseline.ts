/** The baseline: Fastify returns a fixed response from memory. Arguments: port, file with the response body. */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'

const [, , port, file] = process.argv
const body = readFileSync(String(file), 'utf8')

const app = Fastify()
app.get('/v1/users/:id', (_request, reply) => {
  reply.header('content-type', 'application/json; charset=utf-8').send(body)
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
