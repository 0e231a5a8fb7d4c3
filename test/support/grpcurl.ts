/** grpcurl, a client of any gRPC server, by server reflection. */
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ExecaError, execa } from 'execa'
import { PEERS_DIRECTORY } from './grpc-peers/peer.ts'

const VERSION = 'v1.9.3'
const FOLDER = path.join(PEERS_DIRECTORY, `grpcurl-${VERSION}`)
const BINARY = path.join(FOLDER, 'grpcurl')

/** Builds grpcurl if it is not built. @returns why it is not available on this machine, or undefined. */
export async function prepareGrpcurl(): Promise<string | undefined> {
  if (await stat(BINARY).catch(() => undefined)) return undefined
  await mkdir(FOLDER, { recursive: true })
  try {
    const GOPATH = path.join(FOLDER, 'path')
    // Writable, so that .data can be deleted.
    const env = { GOBIN: FOLDER, GOPATH, GOFLAGS: '-modcacherw' }
    await execa('go', ['install', `github.com/fullstorydev/grpcurl/cmd/grpcurl@${VERSION}`], { env, cwd: FOLDER })
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return error.code === 'ENOENT' ? 'Go is not installed' : `grpcurl does not build: ${error.stderr}`
  }
}

/** Runs grpcurl over plain text. @returns its output. @throws Error with its message if it fails. */
export async function grpcurl(...args: string[]): Promise<string> {
  const { stdout } = await execa(BINARY, ['-plaintext', ...args])
  return stdout
}
