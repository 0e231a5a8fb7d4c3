import { readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = path.resolve(import.meta.dirname, '../..')

t.test('every dependency has its reason in CONTRIBUTING, and no reason is without one', async t => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const [, section = ''] = readFileSync(path.join(root, 'CONTRIBUTING.md'), 'utf8').split('\n## Dependencies\n')
  const reasons = [...section.matchAll(/^\| (`.*`) \| .+ \|$/gm)].flatMap(([, names = '']) =>
    names.split(', ').map(name => name.replaceAll('`', '')),
  )
  t.strictSame(reasons.sort(), [...Object.keys(dependencies), ...Object.keys(devDependencies)].sort())
})
