import { domainToASCII } from 'node:url'

// RFC 5321 section 4.5.3.1.3, without the angle brackets.
const MAX_LENGTH = 254

/**
 * Normalizes an e-mail address: NFKC, lower case, domain in its ASCII form (IDNA, UTS 46). Addresses that look the same
 * are then equal, for example `Ａda@BÜCHER.example` and `ada@xn--bcher-kva.example`. The local part is lower-cased too:
 * users type both cases, and no major provider distinguishes them.
 * @returns undefined if `text` is not an e-mail address, or is longer than 254 characters after normalization.
 */
export function normalizeEmail(text: string): string | undefined {
  // Lower-casing can undo NFKC, for example for U+0130, so normalize again.
  const folded = text.normalize('NFKC').toLowerCase().normalize('NFKC')
  const at = folded.lastIndexOf('@')
  const local = folded.slice(0, at)
  const domain = domainToASCII(folded.slice(at + 1))
  if (at < 1 || domain === '' || /[\s\p{Cc}]/u.test(local)) return undefined
  const address = `${local}@${domain}`
  return address.length <= MAX_LENGTH ? address : undefined
}
