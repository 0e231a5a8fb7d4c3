/**
 * Compares the CPU per unary call of both transports, interleaved in one run. The server is grpc-go if Go is installed,
 * else grpc-js:
 *
 *   node test/bench/transport.ts
 *
 * Each turn runs in a separate client process, pinned to core 0 with `taskset`. The value is the user and system time
 * of that process. On a busy machine only the ratio is meaningful.
 */
import { availableParallelism } from 'node:os'
import { execa } from 'execa'
import { Cancellation } from '../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../gateway/upstream/deadline.ts'
import { createGrpcJsTransport } from '../../gateway/upstream/grpc-js/transport.ts'
import { createHttp2Transport } from '../../gateway/upstream/http2/transport.ts'
import { grpcGo } from '../support/grpc-peers/grpc-go-peer.ts'
import { grpcJs } from '../support/grpc-peers/grpc-js-peer.ts'
import { peerMethod } from '../support/grpc-peers/peer.ts'

const TRANSPORTS = { 'own HTTP/2': createHttp2Transport, 'grpc-js': createGrpcJsTransport }
type TransportName = keyof typeof TRANSPORTS

const ROUNDS = 3
const CONCURRENCY = 32
const WARM_UP_CALLS = 30_000
const CALLS = 60_000
/** Length of a typical user message, in bytes. */
const MESSAGE_LENGTH = 222
/** Metadata that the gateway sends with a call. */
const METADATA = {
  authorization: `Bearer ${'eyJhbGciOiJFZERTQSJ9'.repeat(25)}`,
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'gatehouse-client-address': '203.0.113.7',
  'gatehouse-client-user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
}

const [, , role, address] = process.argv
if (role === 'server') await serve()
else if (role !== undefined) await measure(role as TransportName, String(address))
else await compare()

async function compare(): Promise<void> {
  const missing = await grpcGo.prepare()
  const server = missing === undefined ? await grpcGo.start() : await startServerProcess()
  console.log(`server: ${missing === undefined ? 'grpc-go' : 'grpc-js'}, ${CONCURRENCY} calls at a time`)
  const samples: Record<TransportName, number[]> = { 'own HTTP/2': [], 'grpc-js': [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(samples) as TransportName[]) {
      const { stdout } = await onCore(0, [import.meta.filename, name, server.address])
      samples[name].push(Number(stdout))
    }
  }
  await server.kill()
  const own = median(samples['own HTTP/2'])
  for (const [name, figures] of Object.entries(samples)) {
    const figure = median(figures)
    console.log(`${name.padEnd(12)} ${figure.toFixed(1).padStart(6)} us/call  ${(figure / own).toFixed(2)} x own`)
  }
}

/** Prints the CPU time per call in microseconds. */
async function measure(name: TransportName, address: string): Promise<void> {
  const transport = TRANSPORTS[name]({ address, maxMessageLength: 4 * 1024 * 1024 })
  const message = Buffer.alloc(MESSAGE_LENGTH, 7)
  const method = peerMethod('Echo')
  async function run(calls: number): Promise<void> {
    let left = calls
    const loop = async () => {
      while (left-- > 0) {
        const response = await transport.unary(method, message, METADATA, deadlineIn(2000), new Cancellation())
        if (response.length !== MESSAGE_LENGTH) throw new Error('Unexpected response')
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, loop))
  }
  await run(WARM_UP_CALLS)
  const before = process.cpuUsage()
  await run(CALLS)
  const { user, system } = process.cpuUsage(before)
  console.log((user + system) / CALLS)
  await transport.close()
}

async function serve(): Promise<void> {
  console.log((await grpcJs.start()).address)
}

async function startServerProcess(): Promise<{ address: string; kill(): Promise<void> }> {
  const child = onCore(1, [import.meta.filename, 'server'])
  const { value } = await child[Symbol.asyncIterator]().next()
  return {
    address: String(value),
    async kill() {
      child.kill()
      await child.catch(() => {})
    },
  }
}

function onCore(core: number, args: string[]) {
  const pinned = process.platform === 'linux' && availableParallelism() > core
  return pinned ? execa('taskset', ['-c', String(core), process.execPath, ...args]) : execa(process.execPath, args)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}
