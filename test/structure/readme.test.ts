import { readFileSync } from 'node:fs'
import t from 'tap'
import { readmeWithTable } from '../../deploy/dev/settings-table.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

t.test("README's table of settings is what the code reads", async t => {
  t.equal(readme, readmeWithTable(readme), 'if not: node deploy/dev/settings-table.ts')
  t.match(readme, /^\| `GATEWAY_PORT` \| `3000` \|/m)
})

t.test('the documents that README points at are there', async t => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, target]) => target ?? '')
  t.ok(links.length > 0)
  for (const link of links) t.ok(readFileSync(new URL(`../../${link}`, import.meta.url)), link)
})
