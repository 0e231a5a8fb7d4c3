import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { startAutocannon } from './autocannon.ts'
import { BENCH_DIRECTORY } from './directory.ts'

t.test('a load by autocannon that is paused at once sends requests when it is resumed', async t => {
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  mkdirSync(BENCH_DIRECTORY, { recursive: true })
  const load = await startAutocannon({ name: 'autocannon-test', origin, requests: [{ path: '/' }], connections: 2 })
  t.ok(requests > 0, 'the load sends requests when it has started')
  load.pause()
  load.resume()
  while (requests < 100) await delay(10)
  const { succeeded, failed } = await load.end()
  t.ok(succeeded >= 90, `${succeeded} responses`)
  t.equal(failed, 0)
})
