import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { readRunFiles, writeRunFile } from '../../deploy/dev/run-files.ts'

t.test('readRunFiles ignores the draft that another process is writing, and does not remove it', async t => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'gatehouse-run-files-'))
  t.teardown(() => rm(dataDir, { recursive: true }))
  await writeRunFile(dataDir, { name: 'gateway', pid: process.pid })
  const draft = 'up.json.12345'
  await writeFile(path.join(dataDir, 'run', draft), '{"na')
  t.same(
    (await readRunFiles(dataDir)).map(({ name }) => name),
    ['gateway'],
  )
  t.ok((await readdir(path.join(dataDir, 'run'))).includes(draft))
})
