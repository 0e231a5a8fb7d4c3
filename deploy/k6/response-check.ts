/** Classifies responses in two metrics, in addition to those of k6. */
import { check } from 'k6'
import type { Response } from 'k6/http'
import { Rate } from 'k6/metrics'

/** Rejected by rate limits or overload (429, 503). Allowed under stress only. */
const shed = new Rate('shed')
/** Any other status than the expected one. Never allowed. */
const unexpected = new Rate('unexpected')

/** Records a response in `shed`, `unexpected` and `checks`. @returns whether it has the expected status. */
export function checkResponse(response: Response, name: string, status: number): boolean {
  const isShed = response.status === 429 || response.status === 503
  const isExpected = response.status === status
  shed.add(isShed)
  unexpected.add(!isExpected && !isShed)
  if (!isShed) check(response, { [`${name} returns ${status}`]: () => isExpected })
  return isExpected
}
