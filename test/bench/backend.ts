/** The upstream of the measured gateways: grpc-go if Go is installed, else grpc-js. It runs on the core of the load. */
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { PEERS_DIRECTORY } from '../support/grpc-peers/peer.ts'
import { type BenchContract, SERVED_METHODS, SERVICE } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'

const SOURCES = path.join(import.meta.dirname, '../support/grpc-peers/go')
const BINARY = path.join(PEERS_DIRECTORY, 'bench-backend')

export interface Backend {
  readonly kind: 'grpc-go' | 'grpc-js'
  /** Host and port of the gRPC server. */
  readonly grpcAddress: string
  /** Origin of an HTTP server with the same user, for a gateway that proxies HTTP. */
  readonly httpOrigin: string
  stop(): Promise<void>
}

/** Starts the backend. Resolves when it listens. */
export async function startBackend(contract: BenchContract, env: NodeJS.ProcessEnv): Promise<Backend> {
  const message = path.join(BENCH_DIRECTORY, 'user.binpb')
  const json = path.join(BENCH_DIRECTORY, 'user.json')
  writeFileSync(message, contract.message)
  writeFileSync(json, contract.json)
  const hasGo = await buildGoBackend()
  const [file, ...before] = hasGo ? [BINARY] : [process.execPath, path.join(import.meta.dirname, 'backend-process.ts')]
  const flags = [`-service=${SERVICE}`, `-methods=${SERVED_METHODS.join(',')}`, `-message=${message}`, `-json=${json}`]
  const child = execa(file, [...before, ...flags], { env, stderr: 'inherit', buffer: false, reject: false })
  const [ports] = await once(createInterface({ input: child.stdout }), 'line')
  const [grpcPort, httpPort] = String(ports).split(' ')
  return {
    kind: hasGo ? 'grpc-go' : 'grpc-js',
    grpcAddress: `127.0.0.1:${grpcPort}`,
    httpOrigin: `http://127.0.0.1:${httpPort}`,
    async stop() {
      child.kill()
      await child
    },
  }
}

async function buildGoBackend(): Promise<boolean> {
  mkdirSync(PEERS_DIRECTORY, { recursive: true })
  const { failed, code, stderr } = await execa('go', ['build', '-o', BINARY, './bench'], {
    cwd: SOURCES,
    reject: false,
  })
  if (failed && code !== 'ENOENT') throw new Error(`go build of the backend failed: ${stderr}`)
  return !failed
}
