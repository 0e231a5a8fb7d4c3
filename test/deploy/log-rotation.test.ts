import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { openLogFiles } from '../../deploy/dev/terminal.ts'
import { until } from '../support/until.ts'

t.test('make up keeps the logs of the last three runs', async t => {
  const dataDir = t.testdir()
  const folder = path.join(dataDir, 'log')
  const read = (file: string) => readFile(path.join(folder, file), 'utf8').catch(() => '')
  for (const run of ['first', 'second', 'third', 'fourth']) {
    const logs = await openLogFiles(dataDir)
    const write = logs.writerFor('user-svc')
    write(JSON.stringify({ level: 'info', msg: run }))
    logs.close()
    await until(
      () => read('user-svc.log'),
      text => text.includes(run),
    )
  }
  t.strictSame((await readdir(folder)).sort(), ['user-svc.1.log', 'user-svc.2.log', 'user-svc.log'])
  t.match(await read('user-svc.log'), /fourth/)
  t.match(await read('user-svc.1.log'), /third/)
  t.match(await read('user-svc.2.log'), /second/)
})
