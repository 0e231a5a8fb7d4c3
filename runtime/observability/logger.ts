/** The log of a process, of which nothing is lost at its end. */
import { context, trace } from '@opentelemetry/api'
import { type Logger, pino } from 'pino'

export type { Logger }

/** One JSON line an event on standard output, each with the trace it belongs to. */
export function createLogger(options: { service: string; level: string }): Logger {
  const log = openLog(1)
  process.on('exit', () => log.flushSync())
  return pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      formatters: { level: label => ({ level: label }) },
      timestamp: isoTime,
      mixin: traceIds,
    },
    log,
  )
}

let timeAt = 0
let time = ''

/** Made once a millisecond at most: to write a date takes 0.4 us. */
function isoTime(): string {
  const now = Date.now()
  if (now !== timeAt) {
    timeAt = now
    time = `,"time":"${new Date(now).toISOString()}"`
  }
  return time
}

function traceIds(): object {
  const span = trace.getSpanContext(context.active())
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }
}

/** What Linux writes to a pipe as a whole (PIPE_BUF): lines of workers that share it do not mix. */
const CHUNK_BYTES = 4096
const FLUSH_MS = 100

interface Log {
  /** Writes at once, after what waits. */
  write(line: string): void
  /** Writes with others, within 100 ms. */
  writeSoon(line: string): void
  flushSync(): void
}

/**
 * Lines of requests are written several at a time: one write each measured 2 to 3 us. An event is written at once, and
 * so is all that waits when the process exits, by itself or by an exception; what a kill -9 loses is at most 100 ms.
 */
export function openLog(fd: number): Log {
  const out = pino.destination({ dest: fd, sync: true })
  let waiting = ''
  let bytes = 0
  let isFlushDue = false

  function flushSync(): void {
    if (waiting === '') return
    const text = waiting
    waiting = ''
    bytes = 0
    out.write(text)
  }

  function flushInTime(): void {
    isFlushDue = false
    flushSync()
  }

  return {
    write(line) {
      flushSync()
      out.write(line)
    },
    writeSoon(line) {
      if (!isFlushDue) setTimeout(flushInTime, FLUSH_MS).unref()
      isFlushDue = true
      const length = Buffer.byteLength(line)
      if (bytes + length > CHUNK_BYTES) flushSync()
      waiting += line
      bytes += length
    },
    flushSync,
  }
}

const INFO = 30

/**
 * A line of level info that each request leaves. It is the line that `logger.info` would write, put together from parts:
 * 0.3 us instead of the 1.7 us that pino takes, 2.7 us with the trace from the context.
 * @returns what logs it. Its argument holds the fields as JSON members, each with a comma before it.
 */
export function requestLine(logger: Logger, message: string): (members: string) => void {
  const parts = logger as unknown as Record<symbol, unknown>
  const { lsCacheSym, chindingsSym, timeSym, streamSym } = pino.symbols
  const level = (parts[lsCacheSym] as Record<number, string>)[INFO]
  const bindings = parts[chindingsSym] as string
  const timestamp = parts[timeSym] as () => string
  const stream = parts[streamSym] as Pick<Log, 'write'> & Partial<Log>
  const end = `,"msg":${JSON.stringify(message)}}\n`
  const write = (stream.writeSoon ?? stream.write).bind(stream)
  return members => {
    if (logger.isLevelEnabled('info')) write(level + timestamp() + bindings + members + end)
  }
}

const PLAIN = /^[\w.:-]*$/

/** A value of a member. Most are plain, and to see that takes half as long as to stringify them. */
export function jsonText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}
