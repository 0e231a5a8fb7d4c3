/** An error that the developer can correct. The message names problem and remedy; it is printed without a stack. */
export class SetupError extends Error {
  override name = 'SetupError'
}
