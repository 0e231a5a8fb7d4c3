/**
 * etcd, a gRPC server of a third party: built from its Go module, with the image of its own .proto files. It registers no
 * server reflection. Binary and image are kept under `.data/etcd` for later runs.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ExecaError, execa } from 'execa'
import type { Test } from 'tap'
import { waitUntilServing } from '../../../deploy/dev/readiness.ts'
import { openTestPort } from '../test-port.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const FOLDER = path.join(ROOT, '.data/etcd')
const BINARY = path.join(FOLDER, 'etcd')

/** The image of etcd's services, `etcdserverpb.KV` and others. */
export const ETCD_IMAGE = path.join(FOLDER, 'etcd.binpb')

const ETCD_API = 'go.etcd.io/etcd/api/v3'
const GRPC_GATEWAY = 'github.com/grpc-ecosystem/grpc-gateway/v2'

/**
 * Builds etcd and the image of its contract, if the version in go.mod has not been built.
 * @returns why that is not possible on this machine, or undefined.
 */
export async function prepareEtcd(): Promise<string | undefined> {
  const goMod = await readFile(path.join(import.meta.dirname, 'go.mod'), 'utf8')
  const stamp = path.join(FOLDER, 'built.txt')
  if ((await readFile(stamp, 'utf8').catch(() => '')) === goMod) return undefined
  await mkdir(FOLDER, { recursive: true })
  try {
    await go('build', '-o', BINARY, 'go.etcd.io/etcd/server/v3')
    await buildImage()
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return error.code === 'ENOENT' ? 'Go is not installed' : `etcd cannot be built: ${error.stderr}`
  }
  await writeFile(stamp, goMod)
  return undefined
}

function go(...args: string[]) {
  return execa('go', args, { cwd: import.meta.dirname })
}

async function folderOf(module: string): Promise<string> {
  await go('mod', 'download', module)
  return (await go('list', '-m', '-f', '{{.Dir}}', module)).stdout
}

/** The .proto files as the modules have them, at the paths by which they import each other. */
async function buildImage(): Promise<void> {
  const googleProtos = path.join(ROOT, 'node_modules/google-proto-files')
  const files = [
    ...['mvccpb/kv', 'authpb/auth', 'versionpb/version', 'etcdserverpb/rpc'].map(name => `etcd/api/${name}.proto`),
    ...['annotations', 'openapiv2'].map(name => `protoc-gen-openapiv2/options/${name}.proto`),
    ...['annotations', 'http'].map(name => `google/api/${name}.proto`),
  ]
  const [etcd, grpcGateway] = [await folderOf(ETCD_API), await folderOf(GRPC_GATEWAY)]
  const folder = await mkdtemp(path.join(tmpdir(), 'etcd-protos-'))
  try {
    for (const file of files) {
      const source = file.startsWith('etcd/api/')
        ? path.join(etcd, file.slice('etcd/api/'.length))
        : path.join(file.startsWith('google/') ? googleProtos : grpcGateway, file)
      await cp(source, path.join(folder, file))
    }
    await execa(path.join(ROOT, 'node_modules/.bin/buf'), ['build', '--as-file-descriptor-set', '-o', ETCD_IMAGE], {
      cwd: folder,
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Starts a server with an empty store on a free port, and stops it when the test ends. @returns `host:port`. */
export async function startEtcd(t: Test): Promise<string> {
  const [port, peerPort] = [await openTestPort(), await openTestPort()]
  const folder = await mkdtemp(path.join(tmpdir(), 'etcd-'))
  const client = `http://127.0.0.1:${port}`
  const peer = `http://127.0.0.1:${peerPort}`
  const child = execa(
    BINARY,
    [
      `--data-dir=${folder}`,
      '--unsafe-no-fsync',
      '--log-level=panic',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ],
    { stderr: 'inherit', buffer: false, reject: false },
  )
  t.teardown(async () => {
    child.kill('SIGTERM')
    await child
    await rm(folder, { recursive: true })
  })
  const address = `127.0.0.1:${port}`
  await waitUntilServing(address, 60_000)
  return address
}
