/**
 * Load at a given rate, whether it is answered in time or not: arrivals are random and independent (a Poisson process).
 * Neither of the generators for full load does that: autocannon sends a second's requests at its beginning, wrk waits
 * for answers. A latency begins when its request was due, also where it had to wait for a free connection.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createHistogram } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { type Load, type LoadResult, rawRequest } from './load.ts'

/** Node's timers have whole milliseconds, in which many arrivals would come at once: a thread that sleeps has less. */
const TICK_MS = 0.2
const TICKER = `
const { parentPort, workerData } = require('node:worker_threads')
const cell = new Int32Array(new SharedArrayBuffer(4))
for (const end = performance.now() + workerData.ms; performance.now() < end; ) {
  Atomics.wait(cell, 0, 0, workerData.tickMs)
  parentPort.postMessage(0)
}
`

export interface PacedLoad extends Omit<Load, 'name'> {
  readonly seconds: number
  /** Requests a second. */
  readonly rate: number
}

export async function loadAtRate({ origin, requests, connections, seconds, rate }: PacedLoad): Promise<LoadResult> {
  const wire = requests.map(request => Buffer.from(rawRequest(origin, request), 'latin1'))
  const latencies = createHistogram()
  const waiting: number[] = []
  const counts = { sent: 0, answered: 0, wrong: 0 }
  const free: Socket[] = []
  const all = await Promise.all(Array.from({ length: connections }, () => openConnection(origin)))
  for (const socket of all) serveConnection(socket)

  let arrivedUntil = performance.now()
  const startedAt = arrivedUntil
  const ticker = new Worker(TICKER, { eval: true, workerData: { ms: seconds * 1000, tickMs: TICK_MS } })
  ticker.on('message', () => {
    const now = performance.now()
    for (; arrivedUntil < now; arrivedUntil += nextGap(rate)) waiting.push(now)
    sendWaiting()
  })
  await once(ticker, 'exit')
  const elapsed = (performance.now() - startedAt) / 1000
  for (let patience = 100; counts.answered + counts.wrong < counts.sent && patience > 0; patience--) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  for (const socket of all) socket.destroy()
  counts.wrong += waiting.length + counts.sent - counts.answered - counts.wrong
  const ms = (percent: number) => latencies.percentile(percent) / 1000
  return {
    answered: counts.answered,
    wrong: counts.wrong,
    rate: counts.answered / elapsed,
    p50Ms: ms(50),
    p99Ms: ms(99),
  }

  function sendWaiting(): void {
    while (waiting.length > 0 && free.length > 0) {
      const socket = free.pop() as Socket & { dueAt?: number }
      socket.dueAt = waiting.shift()
      socket.write(wire[counts.sent++ % wire.length] as Buffer)
    }
  }

  function serveConnection(socket: Socket & { dueAt?: number }): void {
    let text = ''
    free.push(socket)
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      if (!isWhole(text)) return
      latencies.record(Math.max(1, Math.round((performance.now() - (socket.dueAt ?? 0)) * 1000)))
      if (/^HTTP\/1.1 2/.test(text)) counts.answered++
      else counts.wrong++
      text = ''
      free.push(socket)
      sendWaiting()
    })
  }
}

async function openConnection(origin: string): Promise<Socket> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** One request at a time is on a connection, so what has come is one answer or the beginning of it. */
function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2))?.[1] ?? 0)
  return text.length >= head + 4 + length
}

/** Milliseconds. */
function nextGap(rate: number): number {
  return (-Math.log(1 - Math.random()) / rate) * 1000
}
