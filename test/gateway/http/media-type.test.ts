import t from 'tap'
import { isMediaType } from '../../../gateway/http/media-type.ts'

const VALID = [
  'text/html',
  'image/svg+xml',
  'application/vnd.a.b-c+json',
  'text/plain;charset=utf-8',
  'text/plain; charset="utf-8"',
  'text/plain \t; a=b\t;c=d ',
  'multipart/form-data; boundary="a \\" b; c"',
  'text/plain;',
  'text/plain; ;a=b',
  '*/*',
  `text/plain; a=${'b'.repeat(1000)}`,
]
const INVALID = [
  '',
  'text',
  'text/',
  '/html',
  ' text/html',
  'text /html',
  'text/html, text/plain',
  'text/html; a',
  'text/html; a=',
  'text/html; a = b',
  'text/html; a="b',
  'text/html; a="b\u0007"',
  'text/html\n',
  'text/html\r\nSet-Cookie: a=b',
  'text/html; a="\r\n"',
  'text/ünï',
  'text/html; a="ü"',
  `text/plain; a=${'b'.repeat(1024)}`,
]

t.test('a media type follows RFC 9110 in ASCII, with at most 1,024 characters', async t => {
  for (const text of VALID) t.equal(isMediaType(text), true, JSON.stringify(text))
  for (const text of INVALID) t.equal(isMediaType(text), false, JSON.stringify(text))
})

t.test('an invalid media type of the maximum length is rejected in less than 100 ms', async t => {
  for (const part of [';', '; ', ' ;', ';a=b', ';a="b"', '; \t', ';a="\\"', 'a']) {
    const text = `a/b${part.repeat(1020 / part.length)}\n`
    const startedAt = performance.now()
    t.equal(isMediaType(text), false, JSON.stringify(part))
    t.ok(performance.now() - startedAt < 100)
  }
})
