import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { Keepalive } from '../../../../gateway/upstream/http2/keepalive.ts'

const INTERVAL = 10_000
const TIMEOUT = 2000

interface Watched {
  keepalive: Keepalive
  calls: number
  pings: number
  dead: boolean
}

function watch(t: Test, { withoutCalls = false, calls = 1 } = {}): Watched {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const watched: Watched = {
    calls,
    pings: 0,
    dead: false,
    keepalive: new Keepalive(
      { intervalMs: INTERVAL, timeoutMs: TIMEOUT, withoutCalls },
      {
        hasCalls: () => watched.calls > 0,
        ping() {
          watched.pings++
        },
        onTimeout() {
          watched.dead = true
        },
      },
    ),
  }
  watched.keepalive.start()
  return watched
}

t.test('no ping goes while no call is under way', async t => {
  const watched = watch(t, { calls: 0 })
  for (let interval = 0; interval < 100; interval++) mock.timers.tick(INTERVAL)
  t.equal(watched.pings, 0)
  watched.calls = 1
  mock.timers.tick(INTERVAL)
  t.equal(watched.pings, 1, 'but with the first call that waits')
})

t.test('pings go without calls where that is asked for', async t => {
  const watched = watch(t, { calls: 0, withoutCalls: true })
  mock.timers.tick(INTERVAL)
  t.equal(watched.pings, 1)
})

t.test('no ping goes while the peer is heard', async t => {
  const watched = watch(t)
  for (let interval = 0; interval < 100; interval++) {
    watched.keepalive.onReceived()
    mock.timers.tick(INTERVAL)
  }
  t.equal(watched.pings, 0)
})

t.test('a peer that answers its ping is asked again later; one that does not is dead', async t => {
  const watched = watch(t)
  mock.timers.tick(INTERVAL)
  watched.keepalive.onReceived()
  mock.timers.tick(TIMEOUT)
  t.match(watched, { pings: 1, dead: false })
  mock.timers.tick(INTERVAL)
  mock.timers.tick(TIMEOUT - 1)
  t.match(watched, { pings: 2, dead: false })
  mock.timers.tick(1)
  t.match(watched, { pings: 2, dead: true })
})

t.test('nothing goes after it was stopped', async t => {
  const watched = watch(t)
  watched.keepalive.stop()
  mock.timers.tick(10 * INTERVAL)
  t.match(watched, { pings: 0, dead: false })
})
