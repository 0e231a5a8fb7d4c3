/** Plausible texts, numbers and times for a field of a given name. The first of several is preferred. */
import { uuidOf } from './field-words.ts'

const SENTENCE = 'We meet on Tuesday at ten.'
/** What has the name of a person. */
const PERSON =
  /^(?:full|user|owner|author|customer|contact|sender|recipient|person|member|employee|actor|guest|patient|me|sign|creator)$/

/** By the words of a field. The first rule that matches counts, so specific ones come first. */
const TEXTS: readonly (readonly [RegExp, ...string[]])[] = [
  [/\be ?mail prefix$/, 'ada'],
  [/\be ?mail (?:suffix|domain)$/, '@example.com'],
  [/\be ?mails?\b/, 'ada@example.com', 'grace@example.com'],
  [/password|passphrase/, 'violet-anchor-93-meadow'],
  [/token type/, 'Bearer'],
  [/(?:access|id) token/, 'eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwNGY4OTk2ZCJ9.c2lnbmF0dXJl'],
  [/page token|cursor/, 'eyJhZnRlciI6NDJ9'],
  [/token|secret|nonce|challenge/, 'q7Zk2vX0sRb9uYtLwEoN3g'],
  [/etag|checksum|digest|hash|fingerprint|revision/, '6b1c0f2a'],
  [/user agent/, 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0'],
  [/\bip\b|\bip ?v?4\b|(?:remote|client|peer) address/, '192.0.2.7'],
  [/phone|mobile/, '+41446681800'],
  [/ur[il]s?$|link|website|homepage/, 'https://example.com/'],
  [/\bhost|domain/, 'example.com'],
  [/country/, 'CH', 'Switzerland'],
  [/locale/, 'en-US'],
  [/language/, 'en', 'English'],
  [/currency/, 'CHF', 'EUR'],
  [/time ?zone/, 'Europe/Zurich', 'UTC'],
  [/region|zone/, 'europe-west6', 'Europe'],
  [/city|town/, 'Zurich'],
  [/street|address/, '1 Station Road'],
  [/postal|zip/, '8001'],
  [/(?:first|given) name/, 'Ada'],
  [/(?:last|family) name|surname/, 'Lovelace'],
  [/^user ?name$|login|handle|nick/, 'ada'],
  [/file ?name/, 'report.pdf'],
  [/title|subject|headline/, 'Minutes of the meeting', 'Minutes'],
  [/department|team|group/, 'Engineering', 'engineering'],
  [/company|organi[sz]ation/, 'Example Ltd', 'example'],
  [/tags?$|labels?$|keywords?$|categor/, 'minutes', 'draft', 'review'],
  [/content type|mime/, 'text/plain'],
  [/description|comment|body|content|text|message|note|excerpt|snippet|reason|detail/, SENTENCE, 'Example'],
  [/version/, '1.0.0', 'v1'],
  [/colou?r/, '#336699', 'blue'],
  [/path|folder|directory/, '/reports/2026', 'reports/2026'],
  [/\bdate$|\bday$/, '2026-11-24'],
  [/^q$|query|search/, 'meeting'],
  [/state|status/, 'active', 'ACTIVE'],
  [/isbn/, '9780141036144'],
  [/code|sku/, 'AB-123', '123'],
  [/key/, 'key-1', 'key1'],
]

/** Texts that satisfy common patterns, for fields whose name says nothing. */
const ANY_TEXT = [
  ...['example', 'Example', 'example-1', 'example1', 'EXAMPLE', '12345', '1', 'example.com', 'a', 'A'],
  ...['ada@example.com', 'https://example.com/', '192.0.2.7', '2001:db8::7', 'example.com:443', '2026-11-24', '09:30'],
  ...[
    '192.0.2.0/24',
    '2001:db8::/32',
    '/example',
    'example.v1.Example',
    'x-example',
    '04f8996da76347a989b1028ee3007569',
  ],
]

/**
 * @param words those of the field, such as `owner name`. @param subject what the field belongs to, such as `owner`.
 * @param isPerson whether the field is known to be the name of a person.
 */
export function textsFor(words: string, subject: string, isPerson: boolean): readonly string[] {
  const slug = words.replaceAll(' ', '-')
  const general = [...ANY_TEXT, slug, `${slug}-1`]
  if (isPerson || (/\bname$/.test(words) && PERSON.test(subject))) return ['Ada Lovelace', 'Grace Hopper', ...general]
  const found = TEXTS.find(([pattern]) => pattern.test(words))?.slice(1) as string[] | undefined
  const isName = words === 'name' || words === 'display name'
  return [...(found ?? (isName ? [`Example ${subject}`, `${subject}-1`.replaceAll(' ', '-')] : [])), ...general]
}

/** Values of an identifier that is a string. */
export function identifiersFor(subject: string): readonly string[] {
  return [`${subject.replaceAll(' ', '-')}-1`, uuidOf(subject), '1042', ...ANY_TEXT]
}

const NUMBERS: readonly (readonly [RegExp, number])[] = [
  [/latitude/, 47.3769],
  [/longitude/, 8.5417],
  [/page size|limit/, 20],
  [/port$/, 443],
  [/year/, 2026],
  [/refresh expires|refresh token/, 604800],
  [/expires|ttl|seconds|lifetime/, 900],
  [/price|amount|cost|balance/, 25],
  [/percent/, 50],
  [/sentiment|score|rank|ratio|rate|confidence|probability|weight|average/, 0.75],
  [/count|total|size|documents|comments|matched|changed/, 3],
  [/\bid$/, 1042],
]

/** @returns a number for the field; rounded down by the caller if the field is an integer. */
export function numberFor(words: string): number {
  return NUMBERS.find(([pattern]) => pattern.test(words))?.[1] ?? 1
}

const TIMES: readonly (readonly [RegExp, string])[] = [
  [/since|after|from|start|begin/, '2026-11-01T00:00:00Z'],
  [/before|until|end|to$/, '2026-12-01T00:00:00Z'],
  [/expire|due|deadline/, '2026-12-24T09:30:00Z'],
  [/updat|modif|chang|last|used|seen|delet|eras|purg|clos|finish|complet/, '2026-11-25T14:05:00Z'],
]

/** @returns a time (RFC 3339). */
export function timeFor(words: string): string {
  return TIMES.find(([pattern]) => pattern.test(words))?.[1] ?? '2026-11-24T09:30:00Z'
}

/** Booleans whose usual value is false. */
const FALSE = /delet|clos|eras|disabl|hidden|archiv|locked|blocked|failed|revoked|expired|banned|force/

/** @returns a value for the field; true for `dry_run`, so that a request with the example changes nothing. */
export function booleanFor(words: string): boolean {
  return !FALSE.test(words)
}
