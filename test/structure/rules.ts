/**
 * Checks the layout of the repository from the imports of its source files (CONTRIBUTING, "Layout"):
 *
 * - a service imports itself, `runtime/` and `proto/` only;
 * - within a service and within `runtime/`, a file imports from its own folder and from the ones below it;
 * - only handlers and the server import handlers;
 * - no files import each other in a cycle, types included.
 */
import { posix } from 'node:path'
import type { SourceFile } from './source-file.ts'

/** The top-level folders that each top-level folder may import from. `deploy/` and `test/` may import from all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  proto: ['proto'],
  runtime: ['runtime', 'proto'],
  gateway: ['gateway', 'runtime', 'proto'],
  'auth-svc': ['auth-svc', 'runtime', 'proto'],
  'user-svc': ['user-svc', 'runtime', 'proto'],
}

/**
 * The parts of each top-level folder, from high to low. A part may import from itself and from the parts below it.
 * `*.ts` are the files of the top-level folder that are not listed by name. A subfolder that is listed is a part of its own.
 */
const PARTS: Record<string, readonly string[]> = {
  runtime: ['postgres', 'grpc', 'auth', 'process', 'observability', 'ip-address.ts', 'status.ts', 'quota.ts'],
  gateway: [
    'command',
    'main.ts',
    'gateway.ts',
    'reflected-contracts.ts',
    'reload.ts',
    'generation.ts',
    'app.ts',
    '*.ts',
    'workers',
    'transcoding',
    'upstream',
    'api-reference',
    'edge',
    'http/listener',
    'http',
    'contract',
    'yaml-file.ts',
    'config.ts',
    'metrics.ts',
  ],
  'auth-svc': [
    'main.ts',
    'server.ts',
    '*.ts',
    'sessions',
    'accounts',
    'tokens',
    'revocations',
    'passwords',
    'throttling',
    'config.ts',
    'metrics.ts',
    'errors.ts',
    'tables.ts',
    'schema.ts',
  ],
  'user-svc': [
    'main.ts',
    'server.ts',
    '*.ts',
    'admin',
    'privacy',
    'search',
    'documents',
    'users',
    'paging',
    'config.ts',
    'metrics.ts',
    'errors.ts',
    'tables.ts',
    'schema.ts',
  ],
}

const HANDLERS = /-handlers\.ts$/

// Files that may read process.env.
const ENVIRONMENT_READERS = [/^runtime\/process\/env\.ts$/, /\/main\.ts$/, /^deploy\/dev\//, /^test\//]

/**
 * Checks all rules except the one on cycles (see `findCycles`).
 * @returns one line per problem, with the file and the rule; an empty array if there is none.
 */
export function checkLayout(files: readonly SourceFile[]): string[] {
  return files.flatMap(file => [...checkFile(file)])
}

function* checkFile(file: SourceFile): Iterable<string> {
  const { path } = file
  if (posix.basename(path) === 'index.ts') yield `${path} is a barrel: import from the file that defines the name`
  if (file.hasDefaultExport) yield `${path} has a default export: give it a name`
  if (file.readsEnvironment && !ENVIRONMENT_READERS.some(pattern => pattern.test(path))) {
    yield `${path} reads process.env: settings are passed as arguments`
  }
  const parts = PARTS[topFolder(path)]
  if (parts !== undefined && !path.includes('/migrations/') && partOf(path, parts) === -1) {
    yield `${path} is in no part of ${topFolder(path)}: ${parts.join(', ')}`
  }
  for (const target of file.imports.map(specifier => resolve(path, specifier))) {
    if (target !== undefined) yield* checkImport(path, target)
  }
}

function* checkImport(from: string, to: string): Iterable<string> {
  if (from.includes('/migrations/')) {
    yield `${from} imports ${to}: a migration imports packages only, because its checksum covers one file`
  }
  const allowed = MAY_IMPORT[topFolder(from)]
  if (allowed !== undefined && !allowed.includes(topFolder(to))) {
    yield `${from} imports ${to}: ${topFolder(from)} may import only ${allowed.join(', ')}`
  }
  const parts = topFolder(from) === topFolder(to) ? PARTS[topFolder(from)] : undefined
  if (parts === undefined) return

  const fromPart = partOf(from, parts)
  const toPart = partOf(to, parts)
  if (fromPart > toPart) yield `${from} imports ${to}: ${parts[fromPart]} is below ${parts[toPart]}`
  if (fromPart === toPart && HANDLERS.test(to) && !HANDLERS.test(from)) {
    yield `${from} imports ${to}: only handlers and the server import handlers`
  }
}

/**
 * Finds import cycles. Type imports count as much as value imports.
 * @returns one line per cycle, such as `a.ts -> b.ts -> a.ts`; an empty array if there is none.
 */
export function findCycles(files: readonly SourceFile[]): string[] {
  const importsOf = new Map(
    files.map(({ path, imports }) => [path, imports.flatMap(specifier => resolve(path, specifier) ?? [])]),
  )
  const cycles: string[] = []
  const finished = new Set<string>()
  for (const { path } of files) visit(path, [])
  return cycles

  function visit(path: string, importers: readonly string[]): void {
    const start = importers.indexOf(path)
    if (start !== -1) cycles.push([...importers.slice(start), path].join(' -> '))
    if (start !== -1 || finished.has(path)) return
    for (const target of importsOf.get(path) ?? []) visit(target, [...importers, path])
    finished.add(path)
  }
}

/** @returns the index in `parts` of the part that contains the file; -1 if there is none. */
function partOf(path: string, parts: readonly string[]): number {
  const [, name = '', ...rest] = path.split('/')
  const subfolder = rest.length > 1 ? parts.indexOf(`${name}/${rest[0]}`) : -1
  if (subfolder !== -1) return subfolder
  const index = parts.indexOf(name)
  return index === -1 && rest.length === 0 ? parts.indexOf('*.ts') : index
}

/** @returns the path of the imported file; undefined for a package or a module of Node.js. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('#proto/')) return specifier.replace('#proto/', 'proto/gen/')
  if (specifier.startsWith('#runtime/')) return specifier.replace('#runtime/', 'runtime/')
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined
}

function topFolder(path: string): string {
  return path.split('/')[0] ?? ''
}
