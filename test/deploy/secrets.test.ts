import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { loadSecrets } from '../../deploy/dev/secrets.ts'
import { SetupError } from '../../deploy/dev/setup-error.ts'

t.test('secrets are generated once', async t => {
  const folder = path.join(t.testdir({}), 'data')
  const secrets = await loadSecrets(folder)
  t.equal(Buffer.from(secrets.PASSWORD_PEPPER, 'base64').length, 32)
  t.same(await loadSecrets(folder), secrets)
})

t.test('a lost secrets.json of a folder with a database is reported with the cure, and not replaced', async t => {
  const folder = path.join(t.testdir({}), 'data')
  const secrets = await loadSecrets(folder)
  await mkdir(path.join(folder, 'postgres'))
  t.same(await loadSecrets(folder), secrets, 'a start with secrets and database')
  await rm(path.join(folder, 'secrets.json'))
  const lost = { name: SetupError.name, message: /secrets\.json is missing.*backup.*make reset/ }
  await t.rejects(loadSecrets(folder), lost)
  await t.rejects(loadSecrets(folder), lost, 'the second time as well')
})

t.test('a secrets.json that is not JSON is reported with its path', async t => {
  const folder = t.testdir({})
  await writeFile(path.join(folder, 'secrets.json'), '{')
  await t.rejects(loadSecrets(folder), { name: SetupError.name, message: /secrets\.json is not valid JSON/ })
})
