/** A quota of the client that a request was charged to, and its form in the metadata of google.rpc.ErrorInfo. */

/** The gateway sends it in the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-11). */
export interface Quota {
  /** A lower-case letter, then at most 31 lower-case letters, digits, dashes or underscores. */
  readonly name: string
  readonly limit: number
  /** Seconds in which an exhausted quota refills. */
  readonly windowS: number
  readonly remaining: number
  /** Seconds until `remaining` increases. */
  readonly resetS: number
}

const NAME = /^[a-z][a-z0-9_-]{0,31}$/
const COUNT = /^\d{1,12}$/

/** Returns the entries of ErrorInfo.metadata, none for undefined. */
export function toQuotaMetadata(quota: Quota | undefined): Record<string, string> {
  if (quota === undefined) return {}
  return {
    quota_name: quota.name,
    quota_limit: String(quota.limit),
    quota_window_s: String(quota.windowS),
    quota_remaining: String(quota.remaining),
    quota_reset_s: String(quota.resetS),
  }
}

/** @returns undefined if the metadata has no quota or an invalid one: its values become header fields. */
export function fromQuotaMetadata(metadata: Readonly<Record<string, string>>): Quota | undefined {
  const { quota_name: name = '', quota_limit, quota_window_s, quota_remaining, quota_reset_s } = metadata
  const counts = [quota_limit, quota_window_s, quota_remaining, quota_reset_s]
  if (!NAME.test(name) || !counts.every(count => count !== undefined && COUNT.test(count))) return undefined
  const [limit = 0, windowS = 0, remaining = 0, resetS = 0] = counts.map(Number)
  return { name, limit, windowS, remaining, resetS }
}
