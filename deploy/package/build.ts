/**
 * Builds the npm package: `node deploy/package/build.ts` compiles the gateway and packs it, in `.data/package`.
 *
 * It compiles a copy of the sources in which `#runtime/x.ts` is `#runtime/x.js`: TypeScript rewrites the extension of relative
 * imports only (`rewriteRelativeImportExtensions`), and rejects others that end in `.ts`.
 */
import { cp, glob, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { execa } from 'execa'
import { PROTO_FILES, readProto } from '../../gateway/command/proto.ts'
import { MIN_NODE_MAJOR } from '../../gateway/config.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** Programs and modules of the package. The compiler adds what they import. */
const ENTRIES = ['gateway/command/main.ts', 'gateway/main.ts', 'gateway/gateway.ts', 'gateway/config.ts']
/** Generated code that is JavaScript already. */
const GENERATED = 'proto/gen/**/*_pb.{js,d.ts}'
/** Files that are not compiled. */
const ASSETS = ['LICENSE', 'gateway/gateway.schema.json']

/**
 * Builds the package.
 * @param folder for the work and the result; replaced. Below the repository, whose packages the compiler reads.
 * @returns the path of the tarball.
 */
export async function buildPackage(folder: string): Promise<string> {
  const [sources, contents] = [path.join(folder, 'sources'), path.join(folder, 'contents')]
  await rm(folder, { recursive: true, force: true })
  await copySources(sources)
  await compile(sources, contents)
  for (const asset of ASSETS) await cp(path.join(ROOT, asset), path.join(contents, asset))
  await cp(path.join(import.meta.dirname, 'README.md'), path.join(contents, 'README.md'))
  for (const name of PROTO_FILES) await write(path.join(contents, 'proto', name), readProto(name))
  await write(path.join(contents, 'package.json'), `${JSON.stringify(await manifest(contents), null, 2)}\n`)
  const { stdout } = await execa('npm', ['pack', '--json', '--pack-destination', folder], { cwd: contents })
  return path.join(folder, tarballOf(JSON.parse(stdout)))
}

/** npm 12 prints an object by name, earlier versions an array. */
function tarballOf(output: { filename: string }[] | Record<string, { filename: string }>): string {
  return (Object.values(output)[0] as { filename: string }).filename
}

const PRIVATE_IMPORT = /(['"])(#(?:proto|runtime)\/[^'"]+)\.ts\1/g

async function copySources(folder: string): Promise<void> {
  for await (const file of glob(['{gateway,runtime}/**/*.ts', 'proto/gen/**/*.ts', GENERATED], { cwd: ROOT })) {
    const text = await readFile(path.join(ROOT, file), 'utf8')
    await write(path.join(folder, file), text.replace(PRIVATE_IMPORT, '$1$2.js$1'))
  }
  await write(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', imports: await imports() }))
}

async function compile(sources: string, output: string): Promise<void> {
  const options = {
    extends: path.join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      rootDir: '.',
      outDir: output,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      // What Node 24 has. The compiler rejects a later function.
      target: 'es2024',
      lib: ['es2025'],
    },
    include: [],
    files: ENTRIES,
  }
  await write(path.join(sources, 'tsconfig.json'), JSON.stringify(options))
  // Without the hooks of a test runner, with which the compiler does not start.
  await execa('env', ['-u', 'NODE_OPTIONS', 'tsc', '--project', sources], { preferLocal: true, localDir: ROOT })
  for await (const file of glob(GENERATED, { cwd: ROOT })) await cp(path.join(ROOT, file), path.join(output, file))
}

async function manifest(contents: string): Promise<object> {
  const { name, version, description, license, dependencies } = await rootManifest()
  const imported = await importedPackages(contents)
  return {
    name,
    version,
    description,
    license,
    type: 'module',
    engines: { node: `>=${MIN_NODE_MAJOR}` },
    bin: { gatehouse: 'gateway/command/main.js' },
    exports: {
      '.': { types: './gateway/gateway.d.ts', default: './gateway/gateway.js' },
      './config': { types: './gateway/config.d.ts', default: './gateway/config.js' },
      './gateway.schema.json': './gateway/gateway.schema.json',
      './package.json': './package.json',
    },
    imports: await imports(),
    dependencies: Object.fromEntries(Object.entries(dependencies).filter(([dependency]) => imported.has(dependency))),
  }
}

const IMPORT = /(?:\bfrom|\bimport(?:\.meta\.resolve)?)\s*\(?\s*['"]([^'"]+)['"]/g

/** The packages that the compiled code imports, types included. */
async function importedPackages(folder: string): Promise<ReadonlySet<string>> {
  const packages = new Set<string>()
  for await (const file of glob('**/*.{js,d.ts}', { cwd: folder })) {
    for (const [, specifier = ''] of (await readFile(path.join(folder, file), 'utf8')).matchAll(IMPORT)) {
      const parts = specifier.split('/')
      packages.add(parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/'))
    }
  }
  return new Set([...packages].filter(name => !/^[.#]|^node:/.test(name) && !builtinModules.includes(name)))
}

interface RootManifest {
  readonly [field: string]: unknown
  readonly dependencies: Readonly<Record<string, string>>
  readonly imports: Readonly<Record<string, string>>
}

async function rootManifest(): Promise<RootManifest> {
  return JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'))
}

async function imports(): Promise<RootManifest['imports']> {
  return (await rootManifest()).imports
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
}

if (import.meta.main) console.log(await buildPackage(path.join(ROOT, '.data/package')))
