/**
 * bcrypt in threads of its own, which the operating system runs after the event loop. A hash takes a core for 160 ms; in
 * libuv's pool it also kept files, names and signatures of all others waiting behind it.
 *
 * Measured on two cores that had others' work to do besides, seven of it for each core: how late a timer of the event loop
 * was, in the middle and at its p99, and the hashes a second.
 *
 *   libuv's pool     5.2 ms, 52.7 ms    1.12
 *   priority 10      3.5 ms, 44.8 ms    0.87
 *   priority 19      2.8 ms, 36.7 ms    0.77
 *
 * 10 it is: what is at 19 starves on a busy machine, and people wait for it.
 */
import { Worker } from 'node:worker_threads'
import { hashingFailed } from '../errors.ts'

export type BcryptWork = { input: string; cost: number } | { input: string; hash: string }

export type BcryptResult = { value: string | boolean } | { error: unknown }

/** As many at once as are asked for: to bound them is the caller's part. */
export interface BcryptThreads {
  /** @throws StatusError UNAVAILABLE when its thread dies, Error for a cost that bcrypt does not know. */
  hash(input: string, cost: number): Promise<string>
  /** @throws StatusError UNAVAILABLE when its thread dies. */
  verify(input: string, hash: string): Promise<boolean>
}

export interface BcryptThreadsOptions {
  /** Of a module that answers each `BcryptWork` with a `BcryptResult`. */
  module?: URL
}

interface Thread {
  perform(work: BcryptWork): Promise<string | boolean>
}

export function createBcryptThreads(options: BcryptThreadsOptions = {}): BcryptThreads {
  const { module = new URL('bcrypt-thread.ts', import.meta.url) } = options
  const idle: Thread[] = []

  /** It keeps the process alive while it works, and not when it waits. */
  function start(): Thread {
    const worker = new Worker(module)
    let current: PromiseWithResolvers<string | boolean> | undefined
    const thread: Thread = {
      perform(work) {
        current = Promise.withResolvers()
        worker.ref()
        worker.postMessage(work)
        return current.promise
      },
    }
    worker.on('message', (result: BcryptResult) => {
      worker.unref()
      idle.push(thread)
      if ('error' in result) current?.reject(result.error)
      else current?.resolve(result.value)
    })
    // Once, whatever it died of; the next piece of work finds no thread and starts another.
    function end(cause: unknown): void {
      const index = idle.indexOf(thread)
      if (index >= 0) idle.splice(index, 1)
      current?.reject(hashingFailed(cause))
    }
    worker.on('error', end)
    worker.on('exit', code => end(new Error(`The thread ended with ${code}`)))
    return thread
  }

  const perform = (work: BcryptWork) => (idle.pop() ?? start()).perform(work)
  return {
    hash: (input, cost) => perform({ input, cost }) as Promise<string>,
    verify: (input, hash) => perform({ input, hash }) as Promise<boolean>,
  }
}
