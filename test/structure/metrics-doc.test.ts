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

t.test('docs/metrics.md lists exactly the metrics of the code, with their type and processes', async t => {
  const found = new Map<string, { type: string; processes: string[] }>()
  for (const [process, { watch, snapshot }] of Object.entries(processes)) {
    // Gauges are registered when their read function is set. An empty array is read as an object without fields, too.
    for (const register of Object.values(watch)) register(() => [])
    for (const { name, type } of await snapshot()) {
      if (/^(nodejs|process)_/.test(name)) continue
      found.set(name, { type, processes: [...(found.get(name)?.processes ?? []), process] })
    }
  }
  const rows = [...document.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]+) \|/gm)]
  const listed = rows.map(
    ([, name = '', type = '', names = '']) => [name, { type, processes: names.trim().split(', ') }] as const,
  )
  t.ok(listed.length > 10)
  t.same(Object.fromEntries(listed), Object.fromEntries(found))
})
