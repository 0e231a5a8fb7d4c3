/** Installs protoc, as the Python package grpcio-tools, under `.data/protoc`. It stays there for later runs. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'

const PACKAGE = 'grpcio-tools==1.78.0'
const FOLDER = path.resolve(import.meta.dirname, '../../.data/protoc')

/** A program and the arguments that precede its own. */
export interface Protoc {
  readonly command: string
  readonly args: readonly string[]
}

/** Uses the protoc of the machine, if there is one. @returns the reason if it cannot be installed. */
export async function installProtoc(): Promise<Protoc | string> {
  if (!(await execa('protoc', ['--version'], { reject: false })).failed) return { command: 'protoc', args: [] }
  const stamp = path.join(FOLDER, 'installed.txt')
  const installed: Protoc = { command: path.join(FOLDER, 'venv/bin/python'), args: ['-m', 'grpc_tools.protoc'] }
  if ((await readFile(stamp, 'utf8').catch(() => '')) === PACKAGE) return installed
  await rm(FOLDER, { recursive: true, force: true })
  // Two test files may install it at once, so each has a folder of its own and the first one stays.
  const own = `${FOLDER}-${process.pid}`
  await mkdir(own, { recursive: true })
  const options = { cwd: own, stdin: 'ignore', reject: false } as const
  if ((await execa('python3', ['-m', 'venv', 'venv'], options)).failed) return 'Python with venv is not installed'
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:', PACKAGE]
  const { failed, stderr } = await execa(path.join(own, 'venv/bin/python'), args, options)
  if (failed) return `grpcio-tools cannot be installed: ${stderr}`
  await writeFile(path.join(own, 'installed.txt'), PACKAGE)
  // Fails if another test file was faster.
  await rename(own, FOLDER).catch(() => rm(own, { recursive: true }))
  return installed
}
