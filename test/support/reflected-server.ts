/** A server of grpc-go with server reflection, for any contract. Each method returns its request as its response. */
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { ExecaError, execa } from 'execa'
import type { Test } from 'tap'
import { type Certificates, PEERS_DIRECTORY } from './grpc-peers/peer.ts'

const SOURCES = path.join(import.meta.dirname, 'grpc-peers/go')
const BINARY = path.join(PEERS_DIRECTORY, 'grpc-go-reflected')

/** Builds the server. @returns why it is not available on this machine, or undefined. */
export async function prepareReflectedServer(): Promise<string | undefined> {
  await mkdir(PEERS_DIRECTORY, { recursive: true })
  try {
    await execa('go', ['build', '-o', BINARY, './reflected'], { cwd: SOURCES })
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return error.code === 'ENOENT' ? 'Go is not installed' : `the server does not build: ${error.stderr}`
  }
}

export interface ReflectedServerOptions {
  image: Uint8Array
  services: readonly string[]
  /** Default 0: a free port. */
  port?: number
  /** Versions of the reflection protocol. Default: both. An empty list: none. */
  versions?: readonly ('v1' | 'v1alpha')[]
  /** Enables TLS. Default: plain text. */
  certificates?: Certificates
}

export interface ReflectedServer {
  readonly address: string
  readonly port: number
  /** Changes the contract that reflection returns. The methods stay as they are. */
  change(image: Uint8Array): Promise<void>
  stop(): Promise<void>
}

/** Starts the server, and stops it at the end of the test. `prepareReflectedServer` must have returned undefined. */
export async function startReflectedServer(t: Test, options: ReflectedServerOptions): Promise<ReflectedServer> {
  const { image, services, port = 0, versions = ['v1', 'v1alpha'], certificates } = options
  const folder = await mkdtemp(path.join(tmpdir(), 'gatehouse-reflected-'))
  const file = path.join(folder, 'image.binpb')
  await writeFile(file, image)
  const args = [
    `-address=127.0.0.1:${port}`,
    `-image=${file}`,
    `-services=${services.join(',')}`,
    `-versions=${versions.join(',')}`,
  ]
  if (certificates !== undefined) {
    await writeFile(path.join(folder, 'server.pem'), certificates.cert)
    await writeFile(path.join(folder, 'server.key'), certificates.key)
    args.push(`-tls=${folder}`)
  }
  const child = execa(BINARY, args, { stderr: 'inherit', buffer: false, reject: false })
  t.teardown(async () => {
    child.kill('SIGTERM')
    await child
    await rm(folder, { recursive: true })
  })
  const [bound] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    address: `127.0.0.1:${bound}`,
    port: Number(bound),
    async change(next) {
      await writeFile(file, next)
      child.kill('SIGHUP')
    },
    async stop() {
      child.kill('SIGTERM')
      await child
    },
  }
}
