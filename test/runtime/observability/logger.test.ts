import { mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execaNode } from 'execa'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import { jsonText, openLog, requestLine } from '#runtime/observability/logger.ts'

t.test('requestLine writes exactly the line that logger.info writes', async t => {
  const lines: string[] = []
  const logger = pino(
    {
      base: { service: 'test', pid: 1 },
      timestamp: () => ',"time":"now"',
      formatters: { level: level => ({ level }) },
    },
    { write: (line: string) => void lines.push(line) },
  )
  const log = requestLine(logger, 'request')
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('a\n{"level":"fatal"}', '"}'),
  )
  fc.assert(
    fc.property(text, fc.integer({ min: 100, max: 599 }), (id, status) => {
      lines.length = 0
      logger.info({ request_id: id, status }, 'request')
      log(`,"request_id":${jsonText(id)},"status":${status}`)
      t.equal(lines[1], lines[0])
      t.equal(lines[1]?.indexOf('\n'), (lines[1]?.length ?? 0) - 1, 'the line contains no line feed')
    }),
  )
  logger.level = 'warn'
  lines.length = 0
  log(',"status":200')
  t.same(lines, [], 'nothing is written at level warn')
})

t.test(
  'request lines are buffered and written whole; an event is written immediately, after the buffered lines',
  async t => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'log-')), 'log')
    const log = openLog(openSync(file, 'w'))
    const written = () => readFileSync(file, 'utf8')
    log.writeBuffered('one\n')
    t.equal(written(), '')
    log.write('event\n')
    t.equal(written(), 'one\nevent\n')
    const line = `${'ü'.repeat(499)}\n`
    for (let count = 0; count < 4; count++) log.writeBuffered(line)
    t.equal(written(), 'one\nevent\n')
    log.writeBuffered(line)
    t.equal(written(), `one\nevent\n${line.repeat(4)}`, 'a write has at most 4096 bytes')
    log.flushSync()
    t.equal(written(), `one\nevent\n${line.repeat(5)}`)
  },
)

t.test('no line is lost when the process exits, throws or receives SIGTERM', async t => {
  const fixture = new URL('../../support/log-fixture.ts', import.meta.url)
  for (const end of ['nothing', 'exit', 'throw', 'signal']) {
    const { stdout } = await execaNode(fixture, [end], { reject: false, nodeOptions: [] })
    const lines = stdout.split('\n').map(line => JSON.parse(line))
    const logged = lines.filter(({ msg }) => msg === 'request').map(({ line }) => line)
    t.same(
      logged,
      Array.from({ length: 1000 }, (_, line) => line),
      end,
    )
    if (end === 'throw') t.equal(lines.at(-1).msg, 'uncaught exception')
  }
})

t.test('a buffered line is written without further lines', async t => {
  const fixture = new URL('../../support/log-fixture.ts', import.meta.url)
  const subprocess = execaNode(fixture, ['wait'], { reject: false, nodeOptions: [] })
  let last: unknown
  for await (const line of subprocess) {
    last = JSON.parse(line).line
    if (last === 999) subprocess.kill('SIGKILL')
  }
  t.equal(last, 999)
})
