/**
 * Servers of google.golang.org/grpc/examples, a third party's, without options in their protos: that of the tutorial, and
 * one with server reflection. Built once, under `.data/grpc-examples`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { type Child, startChild } from '../../deploy/dev/child.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../.data/grpc-examples')
const MODULE = 'google.golang.org/grpc/examples'
const VERSION = 'v0.0.0-20260825154716-030ee8becb20'

export interface GrpcExamples {
  /** Text of `route_guide.proto`. */
  readonly routeGuideProto: string
  /** Starts a server: `route_guide`, or `features/reflection`, which serves helloworld.Greeter. */
  start(name: ExampleName, port: number): Promise<Child>
}

const NAMES = ['route_guide', 'features/reflection'] as const
type ExampleName = (typeof NAMES)[number]

/** @returns the reason if Go is not installed or the module cannot be built. */
export async function buildGrpcExamples(): Promise<GrpcExamples | string> {
  await mkdir(FOLDER, { recursive: true })
  await writeFile(path.join(FOLDER, 'go.mod'), `module examples\n\ngo 1.24\n\nrequire ${MODULE} ${VERSION}\n`)
  const go = (...args: string[]) =>
    execa('go', args, { cwd: FOLDER, env: { GOFLAGS: '-mod=mod', GOWORK: 'off' }, reject: false })
  for (const name of NAMES) {
    const built = await go('build', '-o', path.basename(name), `${MODULE}/${name}/server`)
    if (built.code === 'ENOENT') return 'Go is not installed'
    if (built.failed) return `${MODULE} cannot be built: ${built.stderr}`
  }
  const { stdout } = await go('list', '-m', '-f', '{{.Dir}}', MODULE)
  return {
    routeGuideProto: await readFile(path.join(stdout, 'route_guide/routeguide/route_guide.proto'), 'utf8'),
    start: (name, port) =>
      startChild({ name, command: path.join(FOLDER, path.basename(name)), args: [`-port=${port}`] }),
  }
}
