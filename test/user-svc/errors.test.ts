import { readFileSync } from 'node:fs'
import t from 'tap'
import * as errors from '../../user-svc/errors.ts'

const documented = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

t.test('docs/errors.md documents the reason of every error of user-svc', async t => {
  for (const [name, create] of Object.entries(errors)) {
    const { reason } = create(new Error('cause'))
    t.match(documented, `\n| \`${reason}\` `, name)
  }
})
