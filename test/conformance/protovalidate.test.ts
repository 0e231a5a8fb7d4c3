/**
 * The official conformance suite of protovalidate against the validation of the edge. `make validate-conformance` runs
 * all suites; otherwise only those with rules of every kind, which take a few seconds.
 */
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import t from 'tap'

// Go compiles the suite for a minute on a busy machine.
t.setTimeout(900_000)

const FOLDER = path.resolve(import.meta.dirname, '../../.data/conformance')
const SOURCES = path.join(import.meta.dirname, 'protovalidate')
const PROGRAM = 'github.com/bufbuild/protovalidate/tools/protovalidate-conformance'

const isFull = process.env['VALIDATE_CONFORMANCE'] === '1'
const SUITES = isFull
  ? '.'
  : '^(custom_rules|predefined_rules|kitchen_sink|standard_rules/(repeated|map|string|oneof|message))$'
/** Cases of these suites in version 1.2.2. */
const CASES = isFull ? 2872 : 753

const program = await buildProgram()

t.test(
  'the edge passes the conformance suite of protovalidate, also its messages',
  { skip: skipReason(program) },
  async t => {
    const report = path.join(FOLDER, `codecs-${process.pid}.jsonl`)
    t.teardown(() => rm(report, { force: true }))
    const { all, exitCode } = await execa(
      program.path,
      [
        ...['--suite', SUITES, '--strict_error', '--strict_message', '--timeout', '300s'],
        ...[process.execPath, path.join(SOURCES, 'executor.ts')],
      ],
      { all: true, reject: false, env: { CODEC_REPORT: report } },
    )
    t.equal(exitCode, 0, all)
    const [, failed, skipped, passed] =
      /^\w+ \(failed: (\d+), skipped: (\d+), passed: (\d+), total: \d+\)$/m.exec(all.split('\n').at(-1) ?? '') ?? []
    t.comment({ failed, skipped, passed })
    t.same({ failed, skipped, passed }, { failed: '0', skipped: '0', passed: `${CASES}` })

    const lines = (await readFile(report, 'utf8')).trim().split('\n')
    const counts = { valid: 0, agreed: 0, compiled: 0, withoutJson: 0 }
    const disagreed: string[] = []
    for (const line of lines) {
      const suite = JSON.parse(line)
      for (const name of ['valid', 'agreed', 'compiled', 'withoutJson'] as const) counts[name] += suite[name]
      disagreed.push(...suite.disagreed)
    }
    t.comment(counts)
    t.same(disagreed, [], 'both codecs accept the messages of the suite that the validator accepts')
    t.ok(counts.compiled > counts.valid / 2, `${counts.compiled} of ${counts.valid} valid messages need no fallback`)
    t.ok(counts.withoutJson < 10, `${counts.withoutJson} messages have no JSON`)
  },
)

/** Builds the program once. It stays for later runs. */
async function buildProgram(): Promise<{ path: string; error?: string }> {
  const version = /tools (v\S+)/.exec(await readFile(path.join(SOURCES, 'go.mod'), 'utf8'))?.[1]
  const file = path.join(FOLDER, `protovalidate-conformance-${version}`)
  await mkdir(FOLDER, { recursive: true })
  if (await stat(file).catch(() => undefined)) return { path: file }
  if ((await execa('go', ['version'], { reject: false })).failed) return { path: file, error: 'Go is not installed' }
  const { failed, stderr } = await execa('go', ['build', '-o', file, PROGRAM], { cwd: SOURCES, reject: false })
  return failed ? { path: file, error: `the Go module cannot be built: ${stderr}` } : { path: file }
}

/** Without Go or its modules the test is skipped, except where it was asked for. */
function skipReason({ error }: { error?: string }): string | false {
  if (error !== undefined && isFull) throw new Error(error)
  return error ?? false
}
