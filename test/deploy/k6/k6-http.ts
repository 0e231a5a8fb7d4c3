/**
 * Of `k6/http`: requests that return when they are answered. A thread makes them with fetch, and this one sleeps until it
 * has.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'

interface Params {
  headers?: Record<string, string>
  tags?: Record<string, string>
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** Every request that was made, by its tag `name`. */
export const requests: { readonly name: string | undefined; readonly status: number }[] = []

const THREAD = `
const { workerData: { port, bell } } = require('node:worker_threads')
port.on('message', async ({ method, url, headers, body }) => {
  const answer = await fetch(url, { method, headers, body }).then(
    async response => ({ status: response.status, body: await response.text() }),
    // As k6 has it: no status, and the reason.
    error => ({ status: 0, body: String(error.cause ?? error) }),
  )
  port.postMessage(answer)
  Atomics.store(bell, 0, 1)
  Atomics.notify(bell, 0)
})
`

const bell = new Int32Array(new SharedArrayBuffer(4))
const { port1: port, port2: theirs } = new MessageChannel()
new Worker(THREAD, { eval: true, workerData: { port: theirs, bell }, transferList: [theirs] }).unref()
port.unref()

function request(method: string, url: string, body: string | undefined, { headers, tags }: Params = {}) {
  Atomics.store(bell, 0, 0)
  port.postMessage({ method, url, headers, body })
  Atomics.wait(bell, 0, 0)
  const answer: Answer = receiveMessageOnPort(port)?.message
  requests.push({ name: tags?.['name'], status: answer.status })
  return { ...answer, json: () => JSON.parse(answer.body) }
}

export const get = (url: string, params?: Params) => request('GET', url, undefined, params)
export const post = (url: string, body: string, params?: Params) => request('POST', url, body, params)
export const patch = (url: string, body: string, params?: Params) => request('PATCH', url, body, params)
