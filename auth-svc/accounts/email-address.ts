import { domainToASCII } from 'node:url'

// RFC 5321 section 4.5.3.1.3, less the angle brackets.
const MAX_LENGTH = 254

/**
 * The one form in which an e-mail address is stored and looked up: NFKC, lower case, the domain in its ASCII form
 * (IDNA, UTS 46). Two spellings that people take for the same are then the same, `Ａda@BÜCHER.example` among them. The
 * local part loses its case too: no provider of note tells `Ada` from `ada`, and people type both.
 * @returns undefined for what cannot be an address.
 */
export function normalizeEmail(text: string): string | undefined {
  // Lower case may undo the composition, as for U+0130: hence a second time.
  const folded = text.normalize('NFKC').toLowerCase().normalize('NFKC')
  const at = folded.lastIndexOf('@')
  const local = folded.slice(0, at)
  const domain = domainToASCII(folded.slice(at + 1))
  if (at < 1 || domain === '' || /[\s\p{Cc}]/u.test(local)) return undefined
  const address = `${local}@${domain}`
  return address.length <= MAX_LENGTH ? address : undefined
}
