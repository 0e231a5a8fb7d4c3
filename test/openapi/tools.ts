/**
 * Installs the tools that read OpenAPI documents, in pinned versions, under `.data/openapi-tools`: validators and
 * generators of clients, which are programs of Node, Python and Go. They stay there for later runs.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'

/** Sets of tools, each with the packages of its registry. */
const PACKAGES = {
  node: ['@redocly/cli@2.77.0', 'openapi-typescript@7.13.0', 'openapi-fetch@0.17.0', 'typescript@5.9.3'],
  python: ['openapi-spec-validator==0.9.0', 'openapi-python-client==0.29.1', 'schemathesis==4.32.5'],
  go: ['github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2'],
} as const

/** The module that clients of oapi-codegen import. */
export const GO_RUNTIME = 'github.com/oapi-codegen/runtime@v1.9.0'

const FOLDER = path.resolve(import.meta.dirname, '../../.data/openapi-tools')

/** A set of tools that is installed. */
export interface Tools {
  /** Folder of the set, below which generated files find their libraries. */
  readonly folder: string
  /** Environment in which its programs are on the PATH. */
  readonly env: Record<string, string>
}

/**
 * Installs the tools of a language, if they are not installed.
 * @returns the reason, if the language is missing or a package cannot be downloaded.
 * @throws Error in place of the latter with OPENAPI_CHECK=1, which `make openapi-check` sets.
 */
export async function installTools(language: keyof typeof PACKAGES): Promise<Tools | string> {
  if (!(await isPresent(language))) return `${NEEDS[language]} is not installed`
  const folder = path.join(FOLDER, language)
  const env = environmentOf(language, folder)
  const stamp = path.join(folder, 'installed.txt')
  const content = PACKAGES[language].join('\n')
  if ((await readFile(stamp, 'utf8').catch(() => '')) !== content) {
    try {
      await install(language, folder, env)
    } catch (error) {
      if (process.env['OPENAPI_CHECK'] === '1') throw error
      return `the packages of ${language} cannot be installed`
    }
    await writeFile(stamp, content)
  }
  return { folder, env }
}

const NEEDS = { node: 'Node', python: 'Python 3.10 or later with venv', go: 'Go 1.21 or later' }

async function isPresent(language: keyof typeof PACKAGES): Promise<boolean> {
  if (language === 'node') return true
  if (language === 'go') {
    // Go 1.21 downloads the version that a module requires.
    const { stdout = '' } = await execa('go', ['env', 'GOVERSION'], { reject: false })
    return Number(/^go1\.(\d+)/.exec(stdout)?.[1]) >= 21
  }
  // Debian's python3 has venv without ensurepip, which its package python3-venv contains.
  const check = 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))'
  return !(await execa('python3', ['-c', check], { reject: false })).failed
}

function environmentOf(language: keyof typeof PACKAGES, folder: string): Record<string, string> {
  const bin = { node: 'node_modules/.bin', python: 'venv/bin', go: 'bin' }[language]
  const PATH = `${path.join(folder, bin)}:${process.env['PATH']}`
  if (language === 'node') return { PATH, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  if (language === 'python') return { PATH }
  // Writable, so that .data can be deleted.
  return { PATH, GOBIN: path.join(folder, 'bin'), GOPATH: path.join(folder, 'path'), GOFLAGS: '-modcacherw' }
}

async function install(language: keyof typeof PACKAGES, folder: string, env: Record<string, string>): Promise<void> {
  const packages = PACKAGES[language]
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const options = { cwd: folder, env, stdin: 'ignore' } as const
  if (language === 'node') {
    await writeFile(path.join(folder, 'package.json'), '{"private":true,"type":"module"}')
    await execa('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages], options)
  } else if (language === 'python') {
    await execa('python3', ['-m', 'venv', 'venv'], options)
    await execa('pip', ['install', '--quiet', '--disable-pip-version-check', ...packages], options)
  } else {
    await execa('go', ['install', ...packages], options)
  }
}
