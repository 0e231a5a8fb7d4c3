/** Collects what is wrong with a configuration, so that all of it is reported at once. */
import { ContractError } from '#runtime/grpc/contract.ts'
import { SettingsError } from '#runtime/process/env.ts'

export interface Problems {
  /** Each names the file, the line where there is one, what is wrong, and the cure. */
  readonly messages: readonly string[]
  add(message: string): void
  /**
   * Runs a step.
   * @param prefix precedes the message of its error.
   * @returns undefined if the step threw SettingsError or ContractError. Other errors are defects and are thrown.
   */
  attempt<T>(step: () => T, prefix?: string): T | undefined
}

export function createProblems(known: readonly string[] = []): Problems {
  const messages = [...known]
  return {
    messages,
    add: message => void messages.push(message),
    attempt(step, prefix = '') {
      try {
        return step()
      } catch (error) {
        if (!(error instanceof SettingsError || error instanceof ContractError)) throw error
        messages.push(`${prefix}${error.message}`)
        return undefined
      }
    },
  }
}

/** @throws SettingsError that lists the problems, if there are any. */
export function throwProblems(messages: readonly string[]): void {
  if (messages.length > 0) throw new SettingsError(messages.join('\n'))
}
