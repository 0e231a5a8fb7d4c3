/**
 * The body of a stream's answer. A piece is made when the one before has been taken: a client that reads slowly slows the
 * upstream down, by way of each buffer between, and nothing piles up here.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { StreamFormat } from './stream-format.ts'

/** Milliseconds of silence after which an event stream shows that it lives; balancers give up after 30 s and more. */
const HEARTBEAT_MS = 15_000

/**
 * Milliseconds that the head of the answer waits for the first message: a call that fails at once is then answered as any
 * other is, and one that has nothing to say yet shows that it stands.
 */
const HEAD_MS = 1000

type Next = Promise<IteratorResult<Uint8Array, void>>

export interface StreamAnswer {
  readonly messages: AsyncGenerator<Uint8Array, void, void>
  readonly format: StreamFormat
  readonly toJson: (message: Uint8Array) => string
  /** The error as the last thing of the body. */
  readonly toError: (error: unknown) => string
}

/**
 * @returns the body, when the first message is there or the call has been silent for a second.
 * @throws what the call failed with by then.
 */
export async function beginStream(answer: StreamAnswer): Promise<AsyncGenerator<string, void, void>> {
  const first = answer.messages.next()
  // The client may have gone before the body is read, and nobody hears then that the call was cancelled.
  first.catch(() => {})
  const waiting = new AbortController()
  const begun = await Promise.race([first, delay(HEAD_MS, undefined, { signal: waiting.signal }).catch(() => {})])
  waiting.abort()
  return body(answer, first, begun === undefined)
}

async function* body(
  { messages, format, toJson, toError }: StreamAnswer,
  first: Next,
  isSilent: boolean,
): AsyncGenerator<string, void> {
  let next = first
  try {
    // The head goes out with the first piece, be it empty.
    if (isSilent) yield format.heartbeat ?? ''
    for (;;) {
      let result: IteratorResult<Uint8Array, void> | undefined
      while (result === undefined) {
        result = await within(next, format.heartbeat === undefined ? undefined : HEARTBEAT_MS)
        if (result === undefined) yield format.heartbeat as string
      }
      if (result.done === true) return
      yield format.message(toJson(result.value))
      next = messages.next()
    }
  } catch (error) {
    yield toError(error)
  } finally {
    await messages.return()
  }
}

/** @returns undefined when it has not come in time. */
async function within(next: Next, ms: number | undefined): Promise<Awaited<Next> | undefined> {
  if (ms === undefined) return next
  const waiting = new AbortController()
  try {
    return await Promise.race([next, delay(ms, undefined, { signal: waiting.signal })])
  } finally {
    waiting.abort()
  }
}
