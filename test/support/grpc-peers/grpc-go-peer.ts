import { once } from 'node:events'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { ExecaError, execa } from 'execa'
import { type Certificates, PEERS_DIRECTORY, type Peer, type PeerKind, type PeerOptions } from './peer.ts'

const SOURCES = path.join(import.meta.dirname, 'go')
const BINARY = path.join(PEERS_DIRECTORY, 'grpc-go-peer')

/** grpc-go, built from `go/` if Go is installed. */
export const grpcGo: PeerKind = {
  name: 'grpc-go',
  prepare,
  start: startGrpcGoPeer,
}

async function prepare(): Promise<string | undefined> {
  await mkdir(PEERS_DIRECTORY, { recursive: true })
  try {
    await execa('go', ['build', '-o', BINARY, '.'], { cwd: SOURCES })
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return error.code === 'ENOENT' ? 'Go is not installed' : `the grpc-go peer does not build: ${error.stderr}`
  }
}

export interface GoPeerOptions extends PeerOptions {
  /** MaxConnectionAge, as a Go duration: the server sends GOAWAY on older connections. Default: unlimited. */
  maxAge?: string
}

async function startGrpcGoPeer(options: GoPeerOptions = {}): Promise<Peer> {
  const { port = 0, certificates, maxStreams = 0, maxAge = '0' } = options
  const args = [`-address=127.0.0.1:${port}`, `-streams=${maxStreams}`, `-age=${maxAge}`]
  if (certificates !== undefined) args.push(`-tls=${await writeCertificates(certificates)}`)
  const child = execa(BINARY, args, { stderr: 'inherit', buffer: false, reject: false })
  const [bound] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    address: `127.0.0.1:${bound}`,
    port: Number(bound),
    setServing: serving => void child.kill(serving ? 'SIGUSR2' : 'SIGUSR1'),
    release: () => void child.kill('SIGHUP'),
    async stop() {
      child.kill('SIGTERM')
      await child
    },
    async kill() {
      child.kill('SIGKILL')
      await child
    },
  }
}

async function writeCertificates({ ca, cert, key }: Certificates): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatehouse-peer-'))
  await writeFile(path.join(folder, 'ca.pem'), ca)
  await writeFile(path.join(folder, 'server.pem'), cert)
  await writeFile(path.join(folder, 'server.key'), key)
  return folder
}
