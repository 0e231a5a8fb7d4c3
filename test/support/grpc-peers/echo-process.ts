/** A server of peers.v1.Peer/Echo in a process of its own, which sends its port to its parent and may be killed. */
import { setTimeout as delay } from 'node:timers/promises'
import { startScriptedPeer } from './scripted-peer.ts'

/** Time of a call in milliseconds, so that calls are in progress when the process is killed. */
const CALL_MS = 5

const { port } = await startScriptedPeer(async ({ request }) => {
  await delay(CALL_MS)
  return request
}, Number(process.argv[2]))
process.send?.(port)
process.on('disconnect', () => process.exit())
