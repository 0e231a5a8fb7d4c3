import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { watchConfiguration } from '../../gateway/configuration-watch.ts'
import { until } from '../support/until.ts'

const YAML = 'upstreams: [{ name: shop, address: a, contract: shop.binpb, services: [s], httpRules: rules.yaml }]'

function start(t: Test, file: string) {
  const state = { changes: 0 }
  const stop = watchConfiguration({ path: file, env: {}, intervalMs: 20, onChange: () => void state.changes++ })
  t.teardown(stop)
  const changed = (count: number) =>
    until(
      async () => state.changes,
      changes => changes === count,
    )
  return { state, changed }
}

t.test('a change of gateway.yaml, of its contract and of its HTTP rules is reported once each', async t => {
  const folder = t.testdir({ 'gateway.yaml': YAML, 'shop.binpb': '1', 'rules.yaml': '1' })
  const { state, changed } = start(t, path.join(folder, 'gateway.yaml'))
  await delay(100)
  t.equal(state.changes, 0)
  for (const [index, [name, text]] of [
    ['gateway.yaml', `${YAML}\n`],
    ['shop.binpb', '12'],
    ['rules.yaml', '12'],
  ].entries()) {
    writeFileSync(path.join(folder, name as string), text as string)
    await changed(index + 1)
  }
  await delay(100)
  t.equal(state.changes, 3)
})

t.test('a folder that is replaced by a symbolic link is a change', async t => {
  const folder = t.testdir({
    one: { 'gateway.yaml': YAML, 'shop.binpb': '1' },
    two: { 'gateway.yaml': YAML, 'shop.binpb': '2' },
  })
  const link = path.join(folder, 'current')
  symlinkSync('one', link)
  const { changed } = start(t, path.join(link, 'gateway.yaml'))
  symlinkSync('two', path.join(folder, 'next'))
  renameSync(path.join(folder, 'next'), link)
  await changed(1)
})

t.test('a file that is missing or invalid for a time is watched further', async t => {
  const folder = t.testdir({ 'gateway.yaml': YAML, 'shop.binpb': '1' })
  const file = path.join(folder, 'gateway.yaml')
  const { changed } = start(t, file)
  rmSync(file)
  await changed(1)
  writeFileSync(file, 'upstreams: [')
  await changed(2)
  writeFileSync(file, YAML)
  await changed(3)
  writeFileSync(path.join(folder, 'shop.binpb'), '12')
  await changed(4)
  rmSync(path.join(folder, 'shop.binpb'))
  symlinkSync('shop.binpb', path.join(folder, 'shop.binpb'))
  await changed(5)
})
