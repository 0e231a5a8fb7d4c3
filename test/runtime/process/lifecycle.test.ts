import { execaNode } from 'execa'
import t from 'tap'

const fixture = new URL('../../support/lifecycle-fixture.ts', import.meta.url)

/** Runs the fixture, sends each signal after the given line of output, and waits for the exit. */
async function run(fault: string, signals: [afterLine: string, signal: NodeJS.Signals][]) {
  const subprocess = execaNode(fixture, [fault], { reject: false, nodeOptions: [] })
  for await (const line of subprocess) {
    for (const [afterLine, signal] of signals) if (line === afterLine) subprocess.kill(signal)
  }
  const { exitCode, stdout } = await subprocess
  return { exitCode, lines: stdout.split('\n') }
}

t.test('a signal runs the stages in order, then the process exits with 0', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    t.same(await run('none', [['up', signal]]), { exitCode: 0, lines: ['up', 'first', 'second'] }, signal)
  }
})

t.test('after a failed stage the remaining stages run and the process exits with 1', async t => {
  t.same(await run('fail', [['up', 'SIGTERM']]), { exitCode: 1, lines: ['up', 'first', 'second'] })
})

t.test('a second signal exits immediately with 1', async t => {
  t.same(
    await run('wait', [
      ['up', 'SIGTERM'],
      ['first', 'SIGTERM'],
    ]),
    { exitCode: 1, lines: ['up', 'first'] },
  )
})

t.test('the first signal during a shutdown started by stop() has no effect', async t => {
  t.same(await run('stop-call', [['first', 'SIGTERM']]), { exitCode: 0, lines: ['up', 'first', 'second'] })
})

t.test('a shutdown longer than hardStopMs exits with 1', async t => {
  t.same(await run('hang', [['up', 'SIGTERM']]), { exitCode: 1, lines: ['up', 'first'] })
})

t.test('an unhandled rejection runs the stages, then the process exits with 1', async t => {
  t.same(await run('reject', []), { exitCode: 1, lines: ['up', 'first', 'second'] })
})

t.test('an uncaught exception exits immediately with 1', async t => {
  t.same(await run('throw', []), { exitCode: 1, lines: ['up'] })
})
