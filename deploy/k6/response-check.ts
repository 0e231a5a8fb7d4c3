/** How answers are judged, in metrics of their own beside k6's. */
import { check } from 'k6'
import type { Response } from 'k6/http'
import { Rate } from 'k6/metrics'

/** Refused in time: too many requests, or too much load. Fine under stress, and only there. */
const shed = new Rate('shed')
/** Neither what was asked for nor shed. Fine nowhere. */
const unexpected = new Rate('unexpected')

/** @returns whether it is what was asked for. */
export function accept(response: Response, name: string, status: number): boolean {
  const isShed = response.status === 429 || response.status === 503
  const isRight = response.status === status
  shed.add(isShed)
  unexpected.add(!isRight && !isShed)
  if (!isShed) check(response, { [`${name} answers ${status}`]: () => isRight })
  return isRight
}
