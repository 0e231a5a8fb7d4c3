import t from 'tap'
import { limitRepeatedWarnings } from '#runtime/observability/repeated-warnings.ts'

t.test('a warning is logged once in 10 s for each key, with the number of those left out', async t => {
  const lines: unknown[] = []
  const clock = { ms: 0 }
  const logger = { warn: (...line: unknown[]) => void lines.push(line) } as never
  const warn = limitRepeatedWarnings(logger, () => clock.ms)
  warn('a', { n: 1 }, 'lost')
  warn('b', { n: 2 }, 'lost')
  for (clock.ms = 0; clock.ms < 10_000; clock.ms += 100) warn('a', { n: 3 }, 'lost')
  t.strictSame(lines.splice(0), [
    [{ n: 1 }, 'lost'],
    [{ n: 2 }, 'lost'],
  ])
  warn('a', { n: 4 }, 'lost')
  t.strictSame(lines.splice(0), [[{ n: 4, suppressed: 100 }, 'lost']])
  clock.ms += 10_000
  warn('a', { n: 5 }, 'lost')
  t.strictSame(lines.splice(0), [[{ n: 5 }, 'lost']])
})

t.test('the number of remembered keys is bounded', async t => {
  let count = 0
  const warn = limitRepeatedWarnings({ warn: () => void count++ } as never, () => 0)
  for (let key = 0; key < 200; key++) warn(String(key), {}, 'lost')
  t.equal(count, 200)
  warn('199', {}, 'lost')
  t.equal(count, 200, 'a recent key is remembered')
  warn('0', {}, 'lost')
  t.equal(count, 201, 'the oldest key is forgotten')
})
