/** Folders in which tests follow the backend guide, and the dependencies of its services. */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ExecaError, execa } from 'execa'
import type { Test } from 'tap'
import { stepsOf } from './markdown.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const CACHE = path.join(ROOT, '.data/guide')

/** The languages of the guide: headings of its sections, with the program that each needs. */
export const LANGUAGES = { Go: 'go', Python: 'python3', 'Node.js': 'npm' } as const

export type Language = keyof typeof LANGUAGES

/** What the guide installs, which later runs find in the cache. Go has a cache of its own. */
const INSTALLED: Partial<Record<Language, string>> = { Python: 'python/.venv', 'Node.js': 'node/node_modules' }

export const GUIDE = 'docs/backend-guide.md'

/** npm installs what it has in its cache without a request. */
export const GUIDE_ENV = {
  PATH: `${path.join(ROOT, 'node_modules/.bin')}:${process.env['PATH']}`,
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_loglevel: 'error',
}

/**
 * Runs the section of a language once, which installs the dependencies of its service.
 * @returns why that is not possible on this machine, or undefined.
 */
export async function prepareLanguage(language: Language): Promise<string | undefined> {
  const program = LANGUAGES[language]
  if ((await execa(program, [program === 'go' ? 'version' : '--version'], { reject: false })).failed) {
    return `${program} is not installed`
  }
  const folder = path.join(CACHE, language)
  const stamp = path.join(folder, 'installed.txt')
  const steps = stepsOf(GUIDE, language).join('\n')
  if ((await readFile(stamp, 'utf8').catch(() => '')) === steps) return undefined
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    await execa('bash', ['-eu', '-o', 'pipefail'], { input: steps, cwd: folder, env: GUIDE_ENV })
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return `the packages of the guide cannot be installed: ${error.stderr}`
  }
  await writeFile(stamp, steps)
  return undefined
}

/**
 * Creates a folder for a reader of the guide, with the commands `gatehouse` and `buf` where npm installs them. `gatehouse`
 * is that of this checkout; test/deploy tests the npm package.
 */
export async function createGuideFolder(t: Test, language: Language): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'guide-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const bin = path.join(folder, 'node_modules/.bin')
  await mkdir(bin, { recursive: true })
  const main = path.join(ROOT, 'gateway/command/main.ts')
  await writeFile(path.join(bin, 'gatehouse'), `#!/bin/sh\nexec node '${main}' "$@"\n`, { mode: 0o755 })
  await symlink(path.join(ROOT, 'node_modules/.bin/buf'), path.join(bin, 'buf'))
  const installed = INSTALLED[language]
  if (installed !== undefined) {
    await mkdir(path.dirname(path.join(folder, installed)))
    const source = path.join(CACHE, language, installed)
    await cp(source, path.join(folder, installed), { recursive: true, verbatimSymlinks: true })
  }
  return folder
}
