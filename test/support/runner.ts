/**
 * `make test`: starts the stores, runs tap on the given test files (default: all), stops the stores. The last line is
 * `N passed, N failed` and counts assertions, like the summary of tap. A file that crashes counts as one failed
 * assertion.
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

// Ctrl-C also reaches tap, which exits. This process must continue to stop the stores.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

await buildTap()
const { env, stores, stop } = await startStores()
const output = path.join(stores.directory, 'output.tap')
try {
  const reporter = process.stdout.isTTY ? 'base' : 'min'
  const { exitCode } = await execa(TAP, ['run', `--reporter=${reporter}`, `--output-file=${output}`, ...files], {
    // With CI set, the reporters of tap omit the failures.
    env: { ...env, CI: 'false' },
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
  })
  const tap = await readFile(output, 'utf8').catch(() => '')
  if (reporter === 'min') console.log(listFiles(tap))
  const { passed, failed } = countAssertions(tap)
  // tap can fail without a failed assertion, such as for a plan that is not met. Count that as one failure.
  const unmet = exitCode !== 0 && failed === 0 ? 1 : 0
  console.log(`${passed} passed, ${failed + unmet} failed`)
  process.exitCode = failed + unmet === 0 ? 0 : 1
} finally {
  await stop()
}

/** Rebuilds tap with the plugins of .taprc, if an installation has reset them. */
async function buildTap(): Promise<void> {
  const built = readFileSync('node_modules/@tapjs/test/test-built/src/index.ts', 'utf8')
  if (built.includes('@tapjs/typescript')) await execa(TAP, ['build'])
}

/**
 * The reporter `min` shows failures only. @returns the other lines: each file with its time, and the comments of tests.
 */
function listFiles(tap: string): string {
  return (tap.match(/^(not )?ok \d+ - .*|^ +# (?!Subtest|time=|\{).*/gm) ?? []).join('\n')
}

function countAssertions(tap: string): { passed: number; failed: number } {
  const summary = /^# \{ (.*) \}$/m.exec(tap)?.[1] ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') }
}
