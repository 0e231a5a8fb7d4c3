/**
 * Substitute for the module `k6/http`, whose functions block until the response. A worker thread sends the request with
 * fetch, and the calling thread waits for it with `Atomics.wait`.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'

interface Params {
  headers?: Record<string, string>
  tags?: Record<string, string>
}

interface RecordedResponse {
  readonly status: number
  readonly body: string
}

/** All requests in order, with their tag `name`. */
export const requests: { readonly name: string | undefined; readonly status: number }[] = []

const THREAD = `
const { workerData: { port, flag } } = require('node:worker_threads')
port.on('message', async ({ method, url, headers, body }) => {
  const result = await fetch(url, { method, headers, body }).then(
    async response => ({ status: response.status, body: await response.text() }),
    // k6 reports a failed connection as status 0.
    error => ({ status: 0, body: String(error.cause ?? error) }),
  )
  port.postMessage(result)
  Atomics.store(flag, 0, 1)
  Atomics.notify(flag, 0)
})
`

const flag = new Int32Array(new SharedArrayBuffer(4))
const { port1: port, port2: workerPort } = new MessageChannel()
new Worker(THREAD, { eval: true, workerData: { port: workerPort, flag }, transferList: [workerPort] }).unref()
port.unref()

function request(method: string, url: string, body: string | undefined, { headers, tags }: Params = {}) {
  Atomics.store(flag, 0, 0)
  port.postMessage({ method, url, headers, body })
  Atomics.wait(flag, 0, 0)
  const response: RecordedResponse = receiveMessageOnPort(port)?.message
  requests.push({ name: tags?.['name'], status: response.status })
  return { ...response, json: () => JSON.parse(response.body) }
}

export const get = (url: string, params?: Params) => request('GET', url, undefined, params)
export const post = (url: string, body: string, params?: Params) => request('POST', url, body, params)
export const patch = (url: string, body: string, params?: Params) => request('PATCH', url, body, params)
