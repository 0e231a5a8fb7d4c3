/** The caps on connections, by the settings of a gateway in a process of its own. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { samplesOf, scrape } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

/** Opens connections from `address`. Returns how many got a response. All stay open until the test ends. */
async function openAll(t: Test, port: number, address: string, count: number): Promise<number> {
  async function isServed(): Promise<boolean> {
    const socket: Socket = connect({ port, host: '127.0.0.1', localAddress: address })
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')
    const [served] = await Promise.race([
      once(socket, 'data').then(() => [true]),
      once(socket, 'close').then(() => [false]),
    ]).catch(() => [false])
    return served as boolean
  }
  const results = await Promise.all(Array.from({ length: count }, isServed))
  return results.filter(Boolean).length
}

t.test('TRUSTED_PROXIES have no cap by address, but share the cap of the process', async t => {
  const { gateway, url } = await startSystem(t, {
    env: {
      TRUSTED_PROXIES: '127.0.0.2, 127.0.8.0/24',
      GATEWAY_MAX_CONNECTIONS_PER_ADDRESS: '5',
      GATEWAY_MAX_CONNECTIONS: '60',
    },
  })
  const port = Number(new URL(url).port)
  const rejected = async (reason: string) =>
    samplesOf(await scrape(gateway), 'http_connections_rejected_total', { reason })[0]?.value ?? 0
  t.equal(await openAll(t, port, '127.0.0.2', 15), 15, 'a trusted address')
  t.equal(await openAll(t, port, '127.0.8.9', 15), 15, 'an address in a trusted network')
  t.equal(await rejected('address_limit'), 0)
  t.equal(await openAll(t, port, '127.0.0.3', 8), 5, 'another address')
  t.equal(await rejected('address_limit'), 3)
  // Fewer than 60 in all, because the test itself has connections of its own.
  const served = await openAll(t, port, '127.0.0.2', 40)
  t.ok(served >= 15 && served <= 25, `${served} of 40 connections above the cap of the process`)
  await until(
    () => rejected('process_limit'),
    count => count === 40 - served,
  )
})
