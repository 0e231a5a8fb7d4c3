/** A trace collector that accepts and discards everything. Argument: port. */
import { createServer } from 'node:http'

createServer((request, response) => {
  request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end())
}).listen(Number(process.argv[2]), '127.0.0.1')
