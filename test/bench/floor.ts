/** The floor: Fastify answers the same bytes from memory. Arguments: port, file with the answer. */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'

const [, , port, file] = process.argv
const answer = readFileSync(String(file), 'utf8')

const app = Fastify()
app.get('/v1/users/:id', (_request, reply) => {
  reply.header('content-type', 'application/json; charset=utf-8').send(answer)
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
