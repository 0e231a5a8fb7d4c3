/** An error that the developer can correct. The message says what is wrong and what to do; it is printed without a stack. */
export class SetupError extends Error {
  override name = 'SetupError'
}
