import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { withSettingsTable } from '../../deploy/dev/settings-table.ts'
import { readGatewayFile } from '../../gateway/gateway-file.ts'
import { upstreamSchema } from '../../gateway/upstream/upstream-config.ts'

const root = path.resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

t.test('the settings table of docs/configuration.md matches the code', async t => {
  const page = read('docs/configuration.md')
  t.equal(page, withSettingsTable(page), 'to update it, run: node deploy/dev/settings-table.ts')
  t.match(page, /^\| `GATEWAY_PORT` \| `3000` \|/m)
})

t.test('the gateway.yaml of docs/configuration.md is valid and has every key of an upstream', async t => {
  const [, example = ''] = /^```yaml\n([\s\S]*?)^```$/m.exec(read('docs/configuration.md')) ?? []
  const folder = mkdtempSync(path.join(tmpdir(), 'docs-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'gateway.yaml')
  writeFileSync(file, example)
  const { upstreams } = readGatewayFile(file, {})
  t.equal(upstreams.length, 1)
  for (const key of Object.keys(upstreamSchema.shape)) t.match(example, new RegExp(`^ +(- )?${key}:`, 'm'), key)
})

t.test('links between the Markdown files lead to existing files and headings', async t => {
  const pages = await Array.fromAsync(glob('{*.md,docs/*.md}', { cwd: root }))
  t.ok(pages.length >= 14, `${pages.length} pages`)
  for (const page of pages) {
    for (const link of linksOf(read(page))) {
      const [file = '', heading] = link.split('#')
      const target = file === '' ? page : path.join(path.dirname(page), file)
      t.ok(existsSync(path.join(root, target)), `${page} links to ${target}`)
      if (heading === undefined) continue
      t.ok(headingsOf(read(target)).includes(heading), `${page} links to the heading ${target}#${heading}`)
    }
  }
})

t.test('README is short enough for the first ten minutes, and links every page of docs/', async t => {
  const readme = read('README.md')
  const words = readme.split(/\s+/).length
  t.ok(words <= 1300, `${words} words`)
  const pages = await Array.fromAsync(glob('docs/*.md', { cwd: root }))
  t.strictSame(
    pages.filter(page => !linksOf(readme).includes(page)),
    [],
  )
})

t.test('the walk through GET /v1/users/me in docs/architecture.md needs at most 15 files', async t => {
  const [, section = ''] = /^## GET \/v1\/users\/me$([\s\S]*?)(?=^## )/m.exec(read('docs/architecture.md')) ?? []
  const sources = linksOf(section).filter(link => link.endsWith('.ts'))
  t.ok(sources.length > 8, `${sources.length} files`)
  t.ok(new Set(sources).size <= 15, `${sources.length} files`)
})

/** The relative links of a page, without those in code. */
function linksOf(markdown: string): string[] {
  const text = markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target = '']) => target)
}

/** The headings of a page as anchors: lower case, without punctuation, with dashes for spaces. */
function headingsOf(markdown: string): string[] {
  return [...markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  )
}
