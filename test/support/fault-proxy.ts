/** A TCP proxy between a process under test and a server. It causes network faults that signals to a process cannot. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

export interface FaultProxy {
  /** TCP port on 127.0.0.1. */
  readonly port: number
  /** Number of connections accepted so far. */
  readonly accepted: number
  /** Number of open connections. */
  readonly open: number
  /** Returns `url` with the address of the proxy instead of that of the server. */
  urlOf(url: string): string
  /** Discards the bytes of all open connections in both directions, without closing them. New connections work. */
  swallowOpenConnections(): void
  /** As `swallowOpenConnections`, and new connections are accepted and swallowed too until `restore`. */
  swallowAll(): void
  /** New connections work again. Swallowed connections stay swallowed. */
  restore(): void
  /** Connects new connections to this port. Open ones keep their server. */
  retarget(port: number): void
  /** Delays all bytes from the server by `ms` milliseconds, on open and new connections. 0 ends the delay. */
  delayReplies(ms: number): void
}

/** Starts a proxy to a port on 127.0.0.1. It stops at the end of the test. */
export async function startFaultProxy(t: Test, targetPort: number): Promise<FaultProxy> {
  const open = new Set<{ client: Socket; server: Socket | undefined; isSwallowed: boolean }>()
  let target = targetPort
  let swallowsNew = false
  let delayMs = 0
  let accepted = 0

  // allowHalfOpen: the proxy must not answer the FIN of a swallowed connection.
  const proxy = createServer({ allowHalfOpen: true }, client => {
    accepted++
    const server = swallowsNew ? undefined : connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const connection = { client, server, isSwallowed: swallowsNew }
    open.add(connection)
    const end = () => {
      open.delete(connection)
      client.destroy()
      server?.destroy()
    }
    const forward = (from: Socket, to: Socket | undefined, delay: () => number) => {
      from.on('data', chunk => {
        if (connection.isSwallowed || to === undefined) return
        if (delay() > 0) setTimeout(() => !connection.isSwallowed && to.write(chunk), delay())
        else to.write(chunk)
      })
      from.on('end', () => !connection.isSwallowed && to?.end())
      from.on('error', () => !connection.isSwallowed && end())
      from.on('close', () => (from === client || !connection.isSwallowed) && end())
    }
    forward(client, server, () => 0)
    if (server !== undefined) forward(server, client, () => delayMs)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')

  const swallowOpenConnections = () => {
    for (const connection of open) connection.isSwallowed = true
  }
  t.teardown(() => {
    proxy.close()
    for (const { client, server } of open) {
      client.destroy()
      server?.destroy()
    }
  })
  const { port } = proxy.address() as AddressInfo
  return {
    port,
    get accepted() {
      return accepted
    },
    get open() {
      return open.size
    },
    urlOf(url) {
      const proxied = new URL(url)
      proxied.hostname = '127.0.0.1'
      proxied.port = String(port)
      return proxied.href
    },
    swallowOpenConnections,
    swallowAll() {
      swallowsNew = true
      swallowOpenConnections()
    },
    restore() {
      swallowsNew = false
    },
    retarget(to) {
      target = to
    },
    delayReplies(ms) {
      delayMs = ms
    },
  }
}
