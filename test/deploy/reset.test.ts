import { existsSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { ROOT } from '../../deploy/dev/migrate.ts'

const cases: { title: string; input: string; args: string[]; deletes: boolean; output: RegExp }[] = [
  { title: 'without input', input: '', args: [], deletes: false, output: /needs a confirmation.*FORCE=1/ },
  { title: 'with any other reply than y', input: 'no\n', args: [], deletes: false, output: /Nothing was deleted/ },
  { title: 'with the reply y', input: 'y\n', args: [], deletes: true, output: /Deleting/ },
  { title: 'with FORCE=1', input: '', args: ['FORCE=1'], deletes: true, output: /Deleting/ },
]

for (const { title, input, args, deletes, output } of cases) {
  t.test(`make reset ${title} ${deletes ? 'deletes' : 'keeps'} the data`, async t => {
    const dataDir = path.join(t.testdir({ data: { 'secrets.json': '{}' } }), 'data')
    const { exitCode, all } = await execa('make', ['reset', `DATA_DIR=${dataDir}`, ...args], {
      cwd: ROOT,
      input,
      all: true,
      reject: false,
    })
    t.equal(exitCode === 0, deletes, all)
    t.match(all, output)
    t.equal(existsSync(dataDir), !deletes)
  })
}
