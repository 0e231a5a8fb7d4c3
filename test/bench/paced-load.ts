/**
 * Load at a given rate with random, independent arrivals (a Poisson process), regardless of response times.
 *
 * The generators for saturation cannot do this: autocannon sends the requests of one second at its start, and wrk waits
 * for responses. A latency includes the time that a request waits for an idle connection, which avoids coordinated
 * omission.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createHistogram } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { type Load, type LoadResult, rawRequest } from './load.ts'

/**
 * Interval between two checks for arrivals, in milliseconds. Timers of Node have 1 ms; a thread that sleeps has less.
 */
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
  /** Average number of requests per second. */
  readonly rate: number
}

/** Runs a load. @returns its result; requests without a response after 2 s count as failed. */
export async function loadAtRate({ origin, requests, connections, seconds, rate }: PacedLoad): Promise<LoadResult> {
  const wire = requests.map(request => Buffer.from(rawRequest(origin, request), 'latin1'))
  const latencies = createHistogram()
  const due: number[] = []
  const counts = { sent: 0, succeeded: 0, failed: 0 }
  const idle: Socket[] = []
  const all = await Promise.all(Array.from({ length: connections }, () => openConnection(origin)))
  for (const socket of all) serveConnection(socket)

  let arrivedUntil = performance.now()
  const startedAt = arrivedUntil
  const ticker = new Worker(TICKER, { eval: true, workerData: { ms: seconds * 1000, tickMs: TICK_MS } })
  ticker.on('message', () => {
    const now = performance.now()
    for (; arrivedUntil < now; arrivedUntil += nextGap(rate)) due.push(now)
    sendDue()
  })
  await once(ticker, 'exit')
  const elapsed = (performance.now() - startedAt) / 1000
  for (let attempts = 100; counts.succeeded + counts.failed < counts.sent && attempts > 0; attempts--) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  for (const socket of all) socket.destroy()
  counts.failed += due.length + counts.sent - counts.succeeded - counts.failed
  const ms = (percent: number) => latencies.percentile(percent) / 1000
  return {
    succeeded: counts.succeeded,
    failed: counts.failed,
    rate: counts.succeeded / elapsed,
    p50Ms: ms(50),
    p99Ms: ms(99),
  }

  function sendDue(): void {
    while (due.length > 0 && idle.length > 0) {
      const socket = idle.pop() as Socket & { dueAt?: number }
      socket.dueAt = due.shift()
      socket.write(wire[counts.sent++ % wire.length] as Buffer)
    }
  }

  function serveConnection(socket: Socket & { dueAt?: number }): void {
    let text = ''
    idle.push(socket)
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      if (!isComplete(text)) return
      latencies.record(Math.max(1, Math.round((performance.now() - (socket.dueAt ?? 0)) * 1000)))
      if (/^HTTP\/1.1 2/.test(text)) counts.succeeded++
      else counts.failed++
      text = ''
      idle.push(socket)
      sendDue()
    })
  }
}

async function openConnection(origin: string): Promise<Socket> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Whether the text is a complete response. A connection has at most one request in flight, so it is never more. */
function isComplete(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2))?.[1] ?? 0)
  return text.length >= head + 4 + length
}

/** @returns the time to the next arrival in milliseconds, exponentially distributed. */
function nextGap(rate: number): number {
  return (-Math.log(1 - Math.random()) / rate) * 1000
}
