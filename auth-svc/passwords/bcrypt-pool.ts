/**
 * A pool of bcrypt worker threads with lower priority than the event loop. One hash occupies a core for 160 ms (cost
 * 12). In libuv's thread pool, file access, DNS lookups and signatures would also wait for it.
 *
 * Delay of a timer in the event loop (median, p99) and hashes per second, on two cores with seven competing processes
 * per core:
 *
 *   libuv's pool     5.2 ms, 52.7 ms    1.12
 *   priority 10      3.5 ms, 44.8 ms    0.87
 *   priority 19      2.8 ms, 36.7 ms    0.77
 *
 * The pool uses 10: a thread with 19 starves on a busy machine, and sign-ins wait for it.
 */
import { Worker } from 'node:worker_threads'
import { hashingFailed } from '../errors.ts'

/** `cost` hashes `input`; `hash` verifies `input` against it. */
export type BcryptRequest = { input: string; cost: number } | { input: string; hash: string }

/** The hash, whether `input` matches, or the error of bcrypt. */
export type BcryptResult = { value: string | boolean } | { error: unknown }

/** Runs each operation at once, in an idle or a new thread; the caller bounds the concurrency (`BoundedQueue`). */
export interface BcryptPool {
  /**
   * Hashes at most 72 bytes without NUL. @param cost binary logarithm of the number of rounds, 4 to 31.
   * @throws Error if `cost` is out of range; StatusError UNAVAILABLE if the thread crashes.
   */
  hash(input: string, cost: number): Promise<string>
  /** @returns false also for a malformed hash. @throws StatusError UNAVAILABLE if the thread crashes. */
  verify(input: string, hash: string): Promise<boolean>
}

export interface BcryptPoolOptions {
  /** Module of the worker thread: receives `BcryptRequest`, sends `BcryptResult`. Default bcrypt-worker.ts. */
  module?: URL
}

interface Thread {
  run(request: BcryptRequest): Promise<string | boolean>
}

/** Creates an empty pool. Threads start on demand and do not keep the process alive while they are idle. */
export function createBcryptPool(options: BcryptPoolOptions = {}): BcryptPool {
  const { module = new URL('bcrypt-worker.ts', import.meta.url) } = options
  const idle: Thread[] = []

  function startThread(): Thread {
    const worker = new Worker(module)
    let current: PromiseWithResolvers<string | boolean> | undefined
    const thread: Thread = {
      run(request) {
        current = Promise.withResolvers()
        worker.ref()
        worker.postMessage(request)
        return current.promise
      },
    }
    worker.on('message', (result: BcryptResult) => {
      worker.unref()
      idle.push(thread)
      if ('error' in result) current?.reject(result.error)
      else current?.resolve(result.value)
    })
    // A crash emits `error` and `exit`; rejecting twice has no effect. The next request starts a new thread.
    function handleCrash(cause: unknown): void {
      const index = idle.indexOf(thread)
      if (index >= 0) idle.splice(index, 1)
      current?.reject(hashingFailed(cause))
    }
    worker.on('error', handleCrash)
    worker.on('exit', code => handleCrash(new Error(`The bcrypt thread exited with code ${code}`)))
    return thread
  }

  const run = (request: BcryptRequest) => (idle.pop() ?? startThread()).run(request)
  return {
    hash: (input, cost) => run({ input, cost }) as Promise<string>,
    verify: (input, hash) => run({ input, hash }) as Promise<boolean>,
  }
}
