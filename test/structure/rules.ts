/**
 * The layout as rules over the files' imports. DESIGN in short: `main -> app|server -> handlers -> domain -> repository
 * -> runtime -> proto/gen`, services know nothing of each other, and the gateway's folders build on one another.
 */
import { posix } from 'node:path'
import type { SourceFile } from './source-file.ts'

const SERVICES = ['gateway', 'auth-svc', 'user-svc']

/** The folders of ours that each may import from. Tests, and what runs the system, may import anything. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  proto: ['proto'],
  runtime: ['runtime', 'proto'],
  ...Object.fromEntries(SERVICES.map(service => [service, [service, 'runtime', 'proto']])),
}

/** Of the gateway: descriptors first, then who answers, who may call, and how a request becomes a call. */
const GATEWAY_FOLDERS: Record<string, readonly string[]> = {
  contract: ['contract'],
  upstream: ['upstream', 'contract'],
  edge: ['edge', 'upstream', 'contract'],
  transcoding: ['transcoding', 'edge', 'upstream', 'contract'],
}

/** The errors of the whole gateway: whoever refuses a request says so in its terms. */
const GATEWAY_ERRORS = 'gateway/transcoding/problem.ts'

const ENVIRONMENT_READERS = [/^runtime\/env\.ts$/, /\/main\.ts$/, /^deploy\/dev\//, /^test\//]

// With fewer a file would hold two concepts: the log and the process's end, tokens and their keys, a pool and migrations,
// the files of those and what is recorded of them, metrics and who serves them, calls and health, the jobs of two services.
export const MOST_RUNTIME_FILES = 26

/** From the outside in. A file may import those of its own layer and of later ones. */
const LAYERS = [/\/main\.ts$/, /^gateway\/gateway\.ts$/, /\/(app|server)\.ts$/, /-handlers\.ts$/, /-repository\.ts$/]

/** @returns each breach as a line that names file and rule; none when all is well. */
export function findBreaches(files: readonly SourceFile[]): string[] {
  const breaches = files.flatMap(file => [...checkFile(file)])
  const runtimeFiles = files.filter(file => topFolder(file.path) === 'runtime').length
  if (runtimeFiles > MOST_RUNTIME_FILES)
    breaches.push(`runtime/ has ${runtimeFiles} files, more than ${MOST_RUNTIME_FILES}`)
  return breaches
}

function* checkFile(file: SourceFile): Iterable<string> {
  const { path } = file
  if (posix.basename(path) === 'index.ts') yield `${path} is a barrel: import from the file that has the thing`
  if (file.hasDefaultExport) yield `${path} has a default export: give it a name`
  if (file.readsEnvironment && !ENVIRONMENT_READERS.some(pattern => pattern.test(path))) {
    yield `${path} reads process.env: settings come in as arguments`
  }
  for (const target of file.imports.map(specifier => resolve(path, specifier))) {
    if (target !== undefined) yield* checkImport(path, target)
  }
}

function* checkImport(from: string, to: string): Iterable<string> {
  if (from.includes('/migrations/')) yield `${from} imports ${to}: a migration's checksum would not show its changes`
  const allowed = MAY_IMPORT[topFolder(from)]
  if (allowed !== undefined && !allowed.includes(topFolder(to))) {
    yield `${from} imports ${to}: ${topFolder(from)} may import only ${allowed.join(', ')}`
  }
  if (topFolder(from) !== topFolder(to)) return

  const fromLayer = layerOf(from)
  const toLayer = layerOf(to)
  if (allowed !== undefined && toLayer >= 0 && (fromLayer > toLayer || (fromLayer < 0 && toLayer < 3))) {
    yield `${from} imports ${to}: imports point from main through server and handlers to repositories`
  }
  const folders = topFolder(from) === 'gateway' ? GATEWAY_FOLDERS[secondFolder(from)] : undefined
  if (folders !== undefined && to !== GATEWAY_ERRORS && !folders.includes(secondFolder(to))) {
    yield `${from} imports ${to}: gateway/${secondFolder(from)} may import only ${folders.join(', ')}`
  }
}

/** The file that a specifier means; undefined for a package or a module of Node's. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('#proto/')) return specifier.replace('#proto/', 'proto/gen/')
  if (specifier.startsWith('#runtime/')) return specifier.replace('#runtime/', 'runtime/')
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined
}

function layerOf(path: string): number {
  return LAYERS.findIndex(pattern => pattern.test(path))
}

function topFolder(path: string): string {
  return path.split('/')[0] ?? ''
}

/** Of `gateway/edge/x.ts`: edge; of `gateway/app.ts`: nothing that may be imported from below. */
function secondFolder(path: string): string {
  const parts = path.split('/')
  return parts.length > 2 ? (parts[1] ?? '') : '(its own files)'
}
