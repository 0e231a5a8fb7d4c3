import t from 'tap'
import type { Case, RoundsOptions } from './rounds.ts'
import { runStages, type Stage } from './stage.ts'

const options: RoundsOptions = { rounds: 1, turns: 2, warmUpSeconds: 0, aloneSeconds: 0, log: () => {} }

function caseNamed(name: string, end: () => Promise<{ cpuUs: number }>): Case {
  return { name, start: async () => ({ pause: async () => {}, resume: () => {}, end }) }
}

function stageOf(benchCase: Case, verdict: 'pass' | 'FAILED'): () => Promise<Stage> {
  const row = { name: `row of ${benchCase.name}`, figure: '1 us', ratio: '', budget: '', verdict }
  return async () => ({ cases: [benchCase], rows: async () => [row], stop: async () => {} })
}

t.test('a stage or case that fails is reported, and the rows of the other stages are kept', async t => {
  const good = caseNamed('good', async () => ({ cpuUs: 1 }))
  const bad = caseNamed('bad', () => Promise.reject(new Error('no response arrived')))
  const { rows, failures } = await runStages(
    [
      { name: 'first', open: stageOf(good, 'pass') },
      { name: 'broken', open: () => Promise.reject(new Error('a service did not start')) },
      { name: 'failing', open: stageOf(bad, 'FAILED') },
      { name: 'last', open: stageOf({ ...good, name: 'last' }, 'pass') },
    ],
    options,
  )
  t.same(
    rows.map(({ name }) => name),
    ['row of good', 'row of bad', 'row of last'],
  )
  t.same(failures, [
    'FAILED broken: a service did not start',
    'FAILED bad: no response arrived',
    'FAILED row: row of bad',
  ])
})
