/** Maximum length of a text from an upstream in a problem document, in bytes of UTF-8. */
const MAX_TEXT_LENGTH = 1024

// Control characters, line and paragraph separators, and the controls that reorder text (Unicode TR 36, "Bidirectional").
const UNSAFE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu

/** The first half of a surrogate pair that was cut. */
const CUT_CHARACTER = /[\ud800-\udbff]$/

/** Replaces control characters by spaces and trims. Shortens to `MAX_TEXT_LENGTH` bytes at the end of a character. */
export function clientText(text: string): string {
  // Bounds the work for a long text.
  const clean = text
    .slice(0, MAX_TEXT_LENGTH * 2)
    .replace(CUT_CHARACTER, '')
    .replace(UNSAFE, ' ')
    .trim()
  const bytes = Buffer.from(clean)
  if (bytes.length <= MAX_TEXT_LENGTH) return clean
  let end = MAX_TEXT_LENGTH - ELLIPSIS_LENGTH
  // Octets 10xxxxxx continue a character.
  while (((bytes[end] as number) & 0xc0) === 0x80) end--
  return `${bytes.toString('utf8', 0, end).trimEnd()}…`
}

const ELLIPSIS_LENGTH = Buffer.byteLength('…')
