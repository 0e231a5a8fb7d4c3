/** A server of peers.v1.Peer/Echo in a process of its own, which sends its port to its parent and may be killed. */
import { setTimeout as delay } from 'node:timers/promises'
import { startScriptedPeer } from './scripted-peer.ts'

/** Its port, and the time of a call in milliseconds, so that calls are in progress when the process is killed. */
const [wanted, callMs] = process.argv.slice(2).map(Number)

const { port } = await startScriptedPeer(async ({ request }) => {
  await delay(callMs)
  return request
}, wanted)
process.send?.(port)
process.on('disconnect', () => process.exit())
