import type { Logger } from './logger.ts'

/** Minimum time in milliseconds between two lines with the same key. */
const INTERVAL_MS = 10_000
/** Maximum number of keys. Beyond it the oldest one is forgotten. */
const MAX_KEYS = 100

/** Logs a warning, unless one with the same key was logged within the last 10 s. */
export type WarnRepeated = (key: string, fields: object, message: string) => void

/**
 * Limits warnings about a state that lasts, such as a server that cannot be reached: each attempt to connect would log a
 * line. The next line with the key has the number of those that were left out, as `suppressed`.
 */
export function limitRepeatedWarnings(
  logger: Pick<Logger, 'warn'>,
  now: () => number = performance.now.bind(performance),
): WarnRepeated {
  const entries = new Map<string, { loggedAt: number; suppressed: number }>()
  return (key, fields, message) => {
    const entry = entries.get(key)
    if (entry !== undefined && now() - entry.loggedAt < INTERVAL_MS) {
      entry.suppressed++
      return
    }
    // Added again, so that the first key of the map is the one that was logged longest ago.
    entries.delete(key)
    entries.set(key, { loggedAt: now(), suppressed: 0 })
    const [oldest] = entries.keys()
    if (entries.size > MAX_KEYS && oldest !== undefined) entries.delete(oldest)
    logger.warn(
      entry === undefined || entry.suppressed === 0 ? fields : { ...fields, suppressed: entry.suppressed },
      message,
    )
  }
}
