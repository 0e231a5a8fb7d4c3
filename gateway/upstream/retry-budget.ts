export interface RetryBudgetOptions {
  /** Capacity of the budget, in failed attempts. Half of it may be spent on retries at once. */
  maxTokens: number
  /** Tokens that a successful call adds: the ratio of retries to calls that the budget allows in the long run. */
  tokenRatio: number
}

/**
 * Bounds the retries of one upstream, as gRPC A6 ("Throttling Retry Attempts") specifies. A failed attempt takes a token, a
 * successful call adds `tokenRatio`; while at most half of the tokens are left, no call is retried. So there are never more
 * than `maxTokens / 2 + tokenRatio * successful calls` retries.
 */
export class RetryBudget {
  #maxTokens: number
  #tokenRatio: number
  #tokens: number

  constructor({ maxTokens, tokenRatio }: RetryBudgetOptions) {
    this.#maxTokens = maxTokens
    this.#tokenRatio = tokenRatio
    this.#tokens = maxTokens
  }

  /** Applies changed options. The tokens that are left remain, up to the new maximum. */
  configure({ maxTokens, tokenRatio }: RetryBudgetOptions): void {
    this.#maxTokens = maxTokens
    this.#tokenRatio = tokenRatio
    this.#tokens = Math.min(this.#tokens, maxTokens)
  }

  recordSuccess(): void {
    if (this.#tokens < this.#maxTokens) this.#tokens = Math.min(this.#maxTokens, this.#tokens + this.#tokenRatio)
  }

  /** Takes a token. @returns whether the attempt that failed may be followed by a retry. */
  recordFailure(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1)
    return this.#tokens > this.#maxTokens / 2
  }
}
