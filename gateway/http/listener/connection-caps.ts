/** Caps on the number of open connections: of a process, and from one address. A connection above a cap is closed. */
import type { Server, Socket } from 'node:net'
import { networkOf, normalizeAddress } from '#runtime/ip-address.ts'
import type { ListenerLimits, RejectionReason } from './listener.ts'

type Caps = Pick<ListenerLimits, 'maxConnections' | 'maxConnectionsPerAddress' | 'isExempt'>

/**
 * Applies the caps to a server. Register it before other `connection` listeners: they must ignore a destroyed socket.
 * @param onRejected called once for each connection that is closed.
 */
export function capConnections(server: Server, caps: Caps, onRejected: (reason: RejectionReason) => void): void {
  const countByNetwork = new Map<string, number>()
  server.maxConnections = caps.maxConnections
  server.on('drop', () => onRejected('process_limit'))
  server.on('connection', (socket: Socket) => {
    const address = normalizeAddress(socket.remoteAddress)
    // The client has disconnected already.
    if (address === undefined || caps.isExempt(address)) return
    const network = networkOf(address)
    const count = countByNetwork.get(network) ?? 0
    if (count >= caps.maxConnectionsPerAddress) {
      onRejected('address_limit')
      socket.destroy()
      return
    }
    countByNetwork.set(network, count + 1)
    socket.once('close', () => {
      const left = (countByNetwork.get(network) ?? 1) - 1
      if (left === 0) countByNetwork.delete(network)
      else countByNetwork.set(network, left)
    })
  })
}
