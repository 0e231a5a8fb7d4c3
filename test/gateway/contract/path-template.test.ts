import fc from 'fast-check'
import t from 'tap'
import { ContractError } from '#runtime/grpc/contract.ts'
import { parsePathTemplate } from '../../../gateway/contract/path-template.ts'
import { assertProperty } from '../../support/property.ts'

const VALID: { source: string; shape: string; variables: string[] }[] = [
  { source: '/v1/users', shape: 'v1/users', variables: [] },
  { source: '/v1/users/{id}', shape: 'v1/users/*', variables: ['id 2-3'] },
  { source: '/v1/users/{user.id}/x', shape: 'v1/users/*/x', variables: ['user.id 2-3'] },
  { source: '/v1/{name=users/*}', shape: 'v1/users/*', variables: ['name 1-3 multiple'] },
  { source: '/v1/{name=a/*/b/*}', shape: 'v1/a/*/b/*', variables: ['name 1-5 multiple'] },
  { source: '/v1/{id=*}', shape: 'v1/*', variables: ['id 1-2'] },
  { source: '/v1/{path=**}', shape: 'v1/**', variables: ['path 1-2 multiple'] },
  { source: '/v1/{path=a/**}', shape: 'v1/a/**', variables: ['path 1-3 multiple'] },
  { source: '/v1/*/x', shape: 'v1/*/x', variables: [] },
  { source: '/v1/{id}:restore', shape: 'v1/*:restore', variables: ['id 1-2'] },
  { source: '/v1/users:batchGet', shape: 'v1/users:batchGet', variables: [] },
  { source: '/.well-known/jwks.json', shape: '.well-known/jwks.json', variables: [] },
  { source: '/{a}/{b}', shape: '*/*', variables: ['a 0-1', 'b 1-2'] },
]

for (const { source, shape, variables } of VALID) {
  t.test(`the template ${source} is parsed`, async t => {
    const template = parsePathTemplate(source)
    t.equal(template.shape, shape)
    t.same(
      template.variables.map(
        ({ fieldPath, start, end, isMultiple }) =>
          `${fieldPath.join('.')} ${start}-${end}${isMultiple ? ' multiple' : ''}`,
      ),
      variables,
    )
  })
}

const INVALID: { source: string; message: string }[] = [
  { source: '', message: 'expected "/" at 0' },
  { source: 'v1', message: 'expected "/" at 0' },
  { source: '/', message: 'expected a segment at 1' },
  { source: '/v1/', message: 'expected a segment at 4' },
  { source: '/v1//x', message: 'expected a segment at 4' },
  { source: '/v1/{}', message: 'expected a field name at 5' },
  { source: '/v1/{a', message: 'expected "}" at 6' },
  { source: '/v1/{a.}', message: 'expected a field name at 7' },
  { source: '/v1/{9}', message: 'expected a field name at 5' },
  { source: '/v1/{a=}', message: 'expected a segment at 7' },
  { source: '/v1/{a={b}}', message: 'a variable cannot contain a variable at 8' },
  { source: '/v1/{a}b', message: 'unexpected "b" at 7' },
  { source: '/v1/{a}/{a}', message: 'a is given twice at 10' },
  { source: '/v1/**/x', message: '`**` must be the last segment' },
  { source: '/v1/{a=**}/{b=**}', message: '`**` must be the last segment' },
  { source: '/v1/a:', message: 'expected a verb at 6' },
  { source: '/v1/a:b:c', message: 'unexpected ":" at 7' },
  { source: '/v1/a:b/c', message: 'unexpected "/" at 7' },
  { source: '/v1/a b', message: 'unexpected " " at 5' },
  { source: '/v1/a?b=c', message: 'unexpected "?" at 5' },
  { source: '/v1/\u00fc', message: 'expected a segment at 4' },
]

for (const { source, message } of INVALID) {
  t.test(`the template "${source}" is rejected with the position of the error`, async t => {
    let thrown: unknown
    try {
      parsePathTemplate(source)
    } catch (error) {
      thrown = error
    }
    t.ok(thrown instanceof ContractError)
    t.match((thrown as Error).message, message)
    t.match((thrown as Error).message, `"${source}"`)
  })
}

const EXTRACTED: { source: string; path: string; values: string[] | undefined }[] = [
  { source: '/v1/{id}', path: '/v1/a%2Fb', values: ['a/b'] },
  { source: '/v1/{id}', path: '/v1/%2525', values: ['%25'] },
  { source: '/v1/{id}', path: '/v1/a+b', values: ['a+b'] },
  { source: '/v1/{id}', path: '/v1/a:b', values: ['a:b'] },
  { source: '/v1/{id}', path: '/v1/', values: undefined },
  { source: '/v1/{id}/x', path: '/v1//x', values: undefined },
  { source: '/v1/{name=a/*}', path: '/v1/a/b%2Fc%20d', values: ['a/b%2Fc d'] },
  { source: '/v1/{name=a/*}', path: '/v1/a/b%2fc', values: ['a/b%2fc'] },
  { source: '/v1/{path=**}', path: '/v1/a/b/c', values: ['a/b/c'] },
  { source: '/v1/{path=**}', path: '/v1', values: [''] },
  { source: '/v1/{path=**}', path: '/v1/a//b', values: undefined },
  { source: '/v1/{path=**}:go', path: '/v1/a/b:go', values: ['a/b'] },
  { source: '/v1/{id}:go', path: '/v1/a:go', values: ['a'] },
  { source: '/v1/{id}:go', path: '/v1/a:go:go', values: ['a:go'] },
  { source: '/v1/{id}:go', path: '/v1/a%3Ago', values: undefined },
  { source: '/v1/{id}:go', path: '/v1/:go', values: undefined },
]

for (const { source, path, values } of EXTRACTED) {
  t.test(`the template ${source} extracts ${values ? JSON.stringify(values) : 'nothing'} from ${path}`, async t => {
    t.same(parsePathTemplate(source).extract(path), values)
  })
}

for (const path of ['/v1/%FF', '/v1/%ZZ', '/v1/%', '/v1/%C3', '/v1/a%2']) {
  t.test(`extracting from ${path}, which is not UTF-8, throws URIError`, async t => {
    t.throws(() => parsePathTemplate('/v1/{id}').extract(path), URIError)
    t.throws(() => parsePathTemplate('/v1/{path=**}').extract(path), URIError)
  })
}

const MATCHES: { source: string; path: string; matches: boolean }[] = [
  { source: '/v1/{id}', path: '/v1/x', matches: true },
  { source: '/v1/{id}', path: '/v1/x/y', matches: false },
  { source: '/v1/{id}', path: '/v1', matches: false },
  { source: '/v1/{id}', path: '/v1/', matches: false },
  { source: '/v1/{id}', path: '/v2/x', matches: false },
  { source: '/v1/{id}:go', path: '/v1/x:go', matches: true },
  { source: '/v1/{id}:go', path: '/v1/x', matches: false },
  { source: '/v1/{path=a/**}', path: '/v1/a', matches: true },
  { source: '/v1/{path=a/**}', path: '/v1/a/b/c', matches: true },
  { source: '/v1/{path=a/**}', path: '/v1', matches: false },
]

for (const { source, path, matches } of MATCHES) {
  t.test(`the template ${source} ${matches ? 'matches' : 'does not match'} ${path}`, async t => {
    t.equal(parsePathTemplate(source).matches(path), matches)
  })
}

t.test('a path written from a template and values yields exactly those values', async t => {
  await assertProperty(
    t,
    fc.property(fc.array(part(), { minLength: 1, maxLength: 5 }), fc.option(fc.constant('go')), (parts, verb) => {
      const suffix = verb === null ? '' : `:${verb}`
      const template = parsePathTemplate(`/${parts.map((one, index) => one.source(`f${index}`)).join('/')}${suffix}`)
      const path = `/${parts.map(one => one.path).join('/')}${suffix}`
      const values = parts.flatMap(one => one.value ?? [])
      return template.matches(path) && JSON.stringify(template.extract(path)) === JSON.stringify(values)
    }),
    { numRuns: 2000 },
  )
})

interface Part {
  source(field: string): string
  path: string
  value?: string
}

function part(): fc.Arbitrary<Part> {
  const literal = fc.constantFrom('v1', 'users', 'a.b', '~').map(text => ({ source: () => text, path: text }))
  const single = encoded().map(({ value, path }) => ({ source: (field: string) => `{${field}}`, value, path }))
  // A variable of several segments keeps encoded slashes as they are.
  const multiple = fc.array(encoded(), { minLength: 1, maxLength: 3 }).map(segments => ({
    source: (field: string) => `{${field}=lit${'/*'.repeat(segments.length)}}`,
    value: ['lit', ...segments.map(segment => segment.valueWithSlashesEncoded)].join('/'),
    path: ['lit', ...segments.map(segment => segment.path)].join('/'),
  }))
  return fc.oneof(literal, single, multiple)
}

/** A text and one of its spellings in a path: each octet either literal, if allowed, or percent-encoded. */
function encoded(): fc.Arbitrary<{ value: string; valueWithSlashesEncoded: string; path: string }> {
  const character = fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
    delimiter(),
  )
  const style = fc.constantFrom<Style[]>('raw', 'upper', 'lower')
  return fc.array(fc.tuple(character, style), { minLength: 1, maxLength: 8 }).map(characters => ({
    value: characters.map(([text]) => text).join(''),
    valueWithSlashesEncoded: characters.map(([text, style]) => (text === '/' ? write(text, style) : text)).join(''),
    path: characters.map(([text, style]) => write(text, style)).join(''),
  }))
}

type Style = 'raw' | 'upper' | 'lower'

function delimiter(): fc.Arbitrary<string> {
  return fc.constantFrom('/', '%', ':', '+', ' ', '?', '#', '.', '*', '{', '}', '\\', '\0', '%2F', '%25')
}

function write(text: string, style: Style): string {
  return [...Buffer.from(text)]
    .map(octet => {
      const isAllowed = /[A-Za-z0-9\-._~!$&'()*+,;=:@]/.test(String.fromCharCode(octet))
      if (isAllowed && style === 'raw') return String.fromCharCode(octet)
      const hex = octet.toString(16).padStart(2, '0')
      return `%${style === 'lower' ? hex : hex.toUpperCase()}`
    })
    .join('')
}
