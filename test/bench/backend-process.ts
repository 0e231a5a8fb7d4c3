/** The backend on @grpc/grpc-js and node:http, with the flags and the output of grpc-peers/go/bench. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'

const text = { type: 'string' as const, default: '' }
const { values: flags } = parseArgs({
  args: process.argv.slice(2).map(flag => `-${flag}`),
  options: { service: text, methods: text, message: text, json: text },
})

const response = readFileSync(flags.message)
const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {}
const handlers: Record<string, (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void> = {}
const passThrough = (bytes: Buffer) => bytes
for (const name of flags.methods.split(',')) {
  definition[name] = {
    path: `/${flags.service}/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  }
  handlers[name] = (_call, callback) => callback(null, response)
}
const server = new Server()
server.addService(definition, handlers)
new HealthImplementation({ '': 'SERVING' }).addToServer(server)
const grpcPort = await new Promise<number>((resolve, reject) =>
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  ),
)

const json = readFileSync(flags.json)
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': json.length }
const http = createServer((_request, reply) => reply.writeHead(200, headers).end(json)).listen(0, '127.0.0.1')
await once(http, 'listening')
console.log(grpcPort, (http.address() as AddressInfo).port)
