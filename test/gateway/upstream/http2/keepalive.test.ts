import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { Keepalive } from '../../../../gateway/upstream/http2/keepalive.ts'

const INTERVAL = 10_000
const TIMEOUT = 2000

interface Fixture {
  keepalive: Keepalive
  calls: number
  pings: number
  timedOut: boolean
}

function start(t: Test, { withoutCalls = false, calls = 1 } = {}): Fixture {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const fixture: Fixture = {
    calls,
    pings: 0,
    timedOut: false,
    keepalive: new Keepalive(
      { intervalMs: INTERVAL, timeoutMs: TIMEOUT, withoutCalls },
      {
        hasCalls: () => fixture.calls > 0,
        ping() {
          fixture.pings++
        },
        onTimeout() {
          fixture.timedOut = true
        },
      },
    ),
  }
  fixture.keepalive.start()
  return fixture
}

t.test('no PING is sent while no call is in flight', async t => {
  const fixture = start(t, { calls: 0 })
  for (let interval = 0; interval < 100; interval++) mock.timers.tick(INTERVAL)
  t.equal(fixture.pings, 0)
  fixture.calls = 1
  mock.timers.tick(INTERVAL)
  t.equal(fixture.pings, 1, 'a PING once a call is in flight')
})

t.test('withoutCalls sends PINGs while no call is in flight', async t => {
  const fixture = start(t, { calls: 0, withoutCalls: true })
  mock.timers.tick(INTERVAL)
  t.equal(fixture.pings, 1)
})

t.test('no PING is sent while bytes are received', async t => {
  const fixture = start(t)
  for (let interval = 0; interval < 100; interval++) {
    fixture.keepalive.onReceived()
    mock.timers.tick(INTERVAL)
  }
  t.equal(fixture.pings, 0)
})

t.test('a peer that responds to a PING gets the next one an interval later; one that does not times out', async t => {
  const fixture = start(t)
  mock.timers.tick(INTERVAL)
  fixture.keepalive.onReceived()
  mock.timers.tick(TIMEOUT)
  t.match(fixture, { pings: 1, timedOut: false })
  mock.timers.tick(INTERVAL)
  mock.timers.tick(TIMEOUT - 1)
  t.match(fixture, { pings: 2, timedOut: false })
  mock.timers.tick(1)
  t.match(fixture, { pings: 2, timedOut: true })
})

t.test('stop prevents further PINGs', async t => {
  const fixture = start(t)
  fixture.keepalive.stop()
  mock.timers.tick(10 * INTERVAL)
  t.match(fixture, { pings: 0, timedOut: false })
})
