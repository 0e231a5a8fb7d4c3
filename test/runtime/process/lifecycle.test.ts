import { execaNode } from 'execa'
import t from 'tap'

const fixture = new URL('../../support/lifecycle-fixture.ts', import.meta.url)

/** Runs the fixture, sends each signal once the line before it was said, and waits for the end. */
async function run(fault: string, signals: [afterLine: string, signal: NodeJS.Signals][]) {
  const subprocess = execaNode(fixture, [fault], { reject: false, nodeOptions: [] })
  for await (const line of subprocess) {
    for (const [afterLine, signal] of signals) if (line === afterLine) subprocess.kill(signal)
  }
  const { exitCode, stdout } = await subprocess
  return { exitCode, lines: stdout.split('\n') }
}

t.test('a signal ends each stage in its order, then the process with 0', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    t.same(await run('none', [['up', signal]]), { exitCode: 0, lines: ['up', 'first', 'second'] }, signal)
  }
})

t.test('a stage that fails does not keep the others from ending, but is told by exit code 1', async t => {
  t.same(await run('fail', [['up', 'SIGTERM']]), { exitCode: 1, lines: ['up', 'first', 'second'] })
})

t.test('a second signal ends it at once', async t => {
  t.same(
    await run('wait', [
      ['up', 'SIGTERM'],
      ['first', 'SIGTERM'],
    ]),
    { exitCode: 1, lines: ['up', 'first'] },
  )
})

t.test('the first signal to who stops already, by an order, changes nothing', async t => {
  t.same(await run('stop-call', [['first', 'SIGTERM']]), { exitCode: 0, lines: ['up', 'first', 'second'] })
})

t.test('a stop that takes too long is cut', async t => {
  t.same(await run('hang', [['up', 'SIGTERM']]), { exitCode: 1, lines: ['up', 'first'] })
})

t.test('an unhandled rejection drains, since other requests are sound', async t => {
  t.same(await run('reject', []), { exitCode: 1, lines: ['up', 'first', 'second'] })
})

t.test('an uncaught exception ends it at once, since nothing is known to be sound', async t => {
  t.same(await run('throw', []), { exitCode: 1, lines: ['up'] })
})
