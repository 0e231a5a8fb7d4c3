/**
 * The server of the gRPC tutorial (google.golang.org/grpc/examples/route_guide), a third party's: without options in its
 * proto. Built once, under `.data/route-guide`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { type Child, startChild } from '../../deploy/dev/child.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../.data/route-guide')
const MODULE = 'google.golang.org/grpc/examples'
const VERSION = 'v0.0.0-20260825154716-030ee8becb20'

export interface RouteGuide {
  /** Text of `route_guide.proto`. */
  readonly proto: string
  /** Starts the server. Resolves when it listens. */
  start(port: number): Promise<Child>
}

/** @returns the reason if Go is not installed or the module cannot be built. */
export async function buildRouteGuide(): Promise<RouteGuide | string> {
  await mkdir(FOLDER, { recursive: true })
  await writeFile(path.join(FOLDER, 'go.mod'), `module routeguide\n\ngo 1.24\n\nrequire ${MODULE} ${VERSION}\n`)
  const go = (...args: string[]) =>
    execa('go', args, { cwd: FOLDER, env: { GOFLAGS: '-mod=mod', GOWORK: 'off' }, reject: false })
  const built = await go('build', '-o', 'server', `${MODULE}/route_guide/server`)
  if (built.code === 'ENOENT') return 'Go is not installed'
  if (built.failed) return `${MODULE} cannot be built: ${built.stderr}`
  const { stdout } = await go('list', '-m', '-f', '{{.Dir}}', MODULE)
  return {
    proto: await readFile(path.join(stdout, 'route_guide/routeguide/route_guide.proto'), 'utf8'),
    async start(port) {
      const server = await startChild({
        name: 'route_guide',
        command: path.join(FOLDER, 'server'),
        args: [`-port=${port}`],
      })
      return server
    },
  }
}
