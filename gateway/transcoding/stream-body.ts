/**
 * The response body of a server stream. The next message is read after the previous one was consumed, so that a slow
 * client slows the upstream down and nothing accumulates in the gateway.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { StreamFormat } from './stream-format.ts'

// Load balancers close idle connections after 30 s or more.
const HEARTBEAT_MS = 15_000

// The response headers wait this long, so that a call that fails at once gets an ordinary error response.
const FIRST_MESSAGE_MS = 1000

type NextMessage = Promise<IteratorResult<Uint8Array, void>>

export interface StreamBodyOptions {
  /** Encoded messages. The body returns the generator when it ends. */
  readonly messages: AsyncGenerator<Uint8Array, void, void>
  readonly format: StreamFormat
  readonly toJson: (message: Uint8Array) => string
  /** Returns the last item of the body. */
  readonly toErrorItem: (error: unknown) => string
}

/** Waits up to 1 s for the first message. @throws the error of the call if it fails within that time. */
export async function startStreamBody(options: StreamBodyOptions): Promise<AsyncGenerator<string, void, void>> {
  const first = options.messages.next()
  // If the client disconnects before the body is read, nothing else handles the rejection of the cancelled call.
  first.catch(() => {})
  const timer = new AbortController()
  const result = await Promise.race([
    first,
    delay(FIRST_MESSAGE_MS, undefined, { signal: timer.signal }).catch(() => {}),
  ])
  timer.abort()
  return generateBody(options, first, result === undefined)
}

async function* generateBody(
  { messages, format, toJson, toErrorItem }: StreamBodyOptions,
  first: NextMessage,
  isIdle: boolean,
): AsyncGenerator<string, void> {
  let next = first
  try {
    // Node sends the headers with the first chunk, even if it is empty.
    if (isIdle) yield format.heartbeat ?? ''
    for (;;) {
      let result: IteratorResult<Uint8Array, void> | undefined
      while (result === undefined) {
        result = await withTimeout(next, format.heartbeat === undefined ? undefined : HEARTBEAT_MS)
        if (result === undefined) yield format.heartbeat as string
      }
      if (result.done === true) return
      yield format.message(toJson(result.value))
      next = messages.next()
    }
  } catch (error) {
    yield toErrorItem(error)
  } finally {
    await messages.return()
  }
}

/** Returns undefined if the message does not arrive within `ms` milliseconds; undefined means no limit. */
async function withTimeout(next: NextMessage, ms: number | undefined): Promise<Awaited<NextMessage> | undefined> {
  if (ms === undefined) return next
  const timer = new AbortController()
  try {
    return await Promise.race([next, delay(ms, undefined, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
}
