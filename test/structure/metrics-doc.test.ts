import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Snapshot } from '#runtime/observability/metric-snapshot.ts'
import { createAuthMetrics } from '../../auth-svc/metrics.ts'
import { createGatewayMetrics } from '../../gateway/metrics.ts'
import { createUserMetrics } from '../../user-svc/metrics.ts'

const document = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')

const processes: Record<string, { watch: object; snapshot(): Promise<Snapshot> }> = {
  gateway: createGatewayMetrics(),
  'auth-svc': createAuthMetrics(),
  'user-svc': createUserMetrics(),
}

t.test('docs/metrics.md lists each metric, with its type and of whom it is, and no other', async t => {
  const found = new Map<string, { type: string; of: string[] }>()
  for (const [process, { watch, snapshot }] of Object.entries(processes)) {
    // What is watched is a metric from when it is given something to watch.
    for (const begin of Object.values(watch)) begin(() => ({}))
    for (const { name, type } of await snapshot()) {
      if (/^(nodejs|process)_/.test(name)) continue
      found.set(name, { type, of: [...(found.get(name)?.of ?? []), process] })
    }
  }
  const rows = [...document.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]+) \|/gm)]
  const listed = rows.map(([, name = '', type = '', of = '']) => [name, { type, of: of.trim().split(', ') }] as const)
  t.ok(listed.length > 10)
  t.same(Object.fromEntries(listed), Object.fromEntries(found))
})
