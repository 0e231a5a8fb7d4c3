/** Something that the developer can put right: its message says what and how, and is all that is shown. */
export class SetupError extends Error {
  override name = 'SetupError'
}
