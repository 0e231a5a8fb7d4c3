/**
 * `make test`: starts the stores, runs tap on the test files given (all unless any), ends the stores. The last line is
 * `N passed, N failed`, which counts assertions, as tap's own summary does; a file that ends badly counts as one failed.
 */
import { readFileSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { startStores } from './stores.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const TAP = path.join(ROOT, 'node_modules/.bin/tap')

process.chdir(ROOT)
const files = process.argv.length > 2 ? process.argv.slice(2) : await Array.fromAsync(glob('test/**/*.test.ts'))

// Ctrl-C reaches tap too, which then ends; what is left to do here is to clean up after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

await buildTap()
const { env, stores, stop } = await startStores()
const output = path.join(stores.directory, 'output.tap')
try {
  const reporter = process.stdout.isTTY ? 'base' : 'min'
  const { exitCode } = await execa(TAP, ['run', `--reporter=${reporter}`, `--output-file=${output}`, ...files], {
    // tap's reporters take CI for a place where nobody reads: they would leave out what failed.
    env: { ...env, CI: 'false' },
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
  })
  const tap = await readFile(output, 'utf8').catch(() => '')
  if (reporter === 'min') console.log(listFiles(tap))
  const { passed, failed } = countAssertions(tap)
  // What tap holds against a run without a failed assertion, such as a plan that was not met, is a failure too.
  const missing = exitCode !== 0 && failed === 0 ? 1 : 0
  console.log(`${passed} passed, ${failed + missing} failed`)
  process.exitCode = failed + missing === 0 ? 0 : 1
} finally {
  await stop()
}

/** tap's plugins are compiled into it: after an install they must be made to match .taprc. */
async function buildTap(): Promise<void> {
  const built = readFileSync('node_modules/@tapjs/test/test-built/src/index.ts', 'utf8')
  if (built.includes('@tapjs/typescript')) await execa(TAP, ['build'])
}

/** What `min`, which shows failures only, leaves out: each file with its time, and what tests said of themselves. */
function listFiles(tap: string): string {
  return (tap.match(/^(not )?ok \d+ - .*|^ +# (?!Subtest|time=|\{).*/gm) ?? []).join('\n')
}

function countAssertions(tap: string): { passed: number; failed: number } {
  const summary = /^# \{ (.*) \}$/m.exec(tap)?.[1] ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') }
}
