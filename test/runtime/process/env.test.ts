import t from 'tap'
import { z } from 'zod'
import { count, port, readSettings, SettingsError, secret } from '#runtime/process/env.ts'

const shape = {
  PORT: port().default(3000).describe('The port'),
  SIZE: count(4).describe('The size'),
  KEY: secret().describe('The key'),
  NAME: z.string().optional().describe('The name'),
}
const KEY = Buffer.alloc(32, 7).toString('base64')

t.test('settings are parsed and frozen; an empty or unset variable has its default', async t => {
  const settings = readSettings(shape, { KEY, SIZE: '', PORT: '8080' })
  t.same(settings, { PORT: 8080, SIZE: 4, KEY: Buffer.alloc(32, 7) })
  t.ok(Object.isFrozen(settings))
})

t.test('all invalid settings are reported in one error, by name and description', async t => {
  const read = () => readSettings(shape, { PORT: '99999', SIZE: 'many', NAME: 'x' })
  t.throws(read, {
    name: SettingsError.name,
    message: /PORT: .*The port[\s\S]*SIZE: .*The size[\s\S]*KEY: is not set \(The key\)/,
  })
})

t.test('the value of an invalid secret is not part of the error', async t => {
  try {
    readSettings(shape, { KEY: 'c2hvcnQ=' })
    t.fail('a short key was accepted')
  } catch (error) {
    t.match(error, { message: /KEY: must be 32 bytes in base64/ })
    t.notMatch((error as Error).message, 'c2hvcnQ=')
  }
})
