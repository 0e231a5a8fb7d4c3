import type { Revocation } from '#proto/edge/v1/revocation.ts'
import { REVOCATION_FIELDS as FIELDS } from '#runtime/auth/revocation-stream.ts'

/** As Redis gives it. */
export type StreamEntry = [id: string, fields: string[]]

/** @returns undefined for what is none, or lacks a part. */
export function readRevocation(fields: readonly string[]): Revocation | undefined {
  const entry: Record<string, string | undefined> = {}
  for (let at = 0; at < fields.length; at += 2) entry[fields[at] ?? ''] = fields[at + 1]
  const target = targetOf(entry[FIELDS.kind], entry[FIELDS.id] ?? '')
  const notAfter = dateOf(entry[FIELDS.notAfter])
  const expiresAt = dateOf(entry[FIELDS.expiresAt])
  const isWhole = expiresAt !== undefined && (target?.$case !== 'userId' || notAfter !== undefined)
  return target !== undefined && isWhole ? { target, notAfter, expiresAt } : undefined
}

function targetOf(kind: string | undefined, value: string): Revocation['target'] {
  if (value === '') return undefined
  if (kind === 'sid') return { $case: 'sessionId', value }
  if (kind === 'jti') return { $case: 'tokenId', value }
  return kind === 'user' ? { $case: 'userId', value } : undefined
}

function dateOf(milliseconds: string | undefined): Date | undefined {
  const time = Number(milliseconds || Number.NaN)
  return Number.isFinite(time) ? new Date(time) : undefined
}

/** When it was written, by Redis' clock. */
export function millisecondsOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/** In the order of the stream. */
export function isBefore(id: string, other: string): boolean {
  const [ms, otherMs] = [millisecondsOf(id), millisecondsOf(other)]
  return ms < otherMs || (ms === otherMs && sequenceOf(id) < sequenceOf(other))
}

function sequenceOf(id: string): number {
  return Number(id.slice(id.indexOf('-') + 1))
}
