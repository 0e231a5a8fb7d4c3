/** The router of Fastify and the path templates must agree on which paths a route has. */

import fc from 'fast-check'
import Fastify from 'fastify'
import t from 'tap'
import { type PathTemplate, parsePathTemplate } from '../../../gateway/contract/path-template.ts'
import { groupRoutes, routerConstraints } from '../../../gateway/http/route-groups.ts'
import { assertProperty } from '../../support/property.ts'

/** Returns the source of the template that serves a path; undefined if the router or the template rejects it. */
function routerOf(sources: readonly string[]): (path: string) => Promise<string | undefined> {
  const app = Fastify({ routerOptions: { maxParamLength: 10_000, constraints: routerConstraints } })
  const candidates = sources.map(parsePathTemplate).map(template => ({ template, value: template }))
  for (const { url, constraints, find } of groupRoutes(candidates)) {
    app.get(url, { ...(constraints && { constraints }) }, (request, reply) => {
      const path = request.raw.url ?? ''
      const template = find(path)
      return reply.send(template?.extract(path) === undefined ? '' : template.source)
    })
  }
  return async path => {
    const { statusCode, body } = await app.inject(path)
    return statusCode === 200 && body !== '' ? body : undefined
  }
}

const SERVED: readonly { source: string; served: readonly string[]; not: readonly string[] }[] = [
  { source: '/v1/{path=**}', served: ['/v1', '/v1/a', '/v1/a/b'], not: ['/v1/', '/v2', '/v1/a/', '/v1x'] },
  { source: '/v1/{path=a/**}', served: ['/v1/a', '/v1/a/b'], not: ['/v1', '/v1/a/', '/v1/b'] },
  { source: '/v1/{path=**}:go', served: ['/v1:go', '/v1/a:go', '/v1/a/b:go'], not: ['/v1', '/v1/a', '/v1/:go'] },
  { source: '/{id}/{path=**}:go', served: ['/a:go', '/a/b:go'], not: ['/a', '/:go'] },
  { source: '/{path=**}', served: ['/', '/a', '/a/b'], not: ['//', '/a/'] },
  { source: '/{path=**}:go', served: ['/:go', '/a:go'], not: ['/', '/a'] },
  { source: '/{id}', served: ['/a'], not: ['/', '//', '/a/b'] },
  { source: '/caf%C3%A9/x', served: ['/caf%C3%A9/x', '/caf%c3%a9/x', '/%63af%C3%A9/x'], not: ['/cafe/x', '/caf/x'] },
  { source: '/a%62c', served: ['/abc', '/a%62c', '/%61bc'], not: ['/a%2562c'] },
  { source: '/abc', served: ['/abc', '/a%62c'], not: ['/a%2562c', '/ABC'] },
  { source: '/a%2Fb', served: ['/a%2Fb', '/a%2fb', '/%61%2fb'], not: ['/a/b', '/a%252Fb'] },
  { source: '/a%252fb', served: ['/a%252fb'], not: ['/a%2fb', '/a%252Fb', '/a/b'] },
  { source: '/a%3Ab', served: ['/a%3Ab', '/a%3ab'], not: ['/a:b', '/a', '/ab'] },
  { source: '/a%20b/{id}', served: ['/a%20b/x'], not: ['/a+b/x', '/ab/x'] },
  { source: '/a%2Ab', served: ['/a%2Ab', '/a%2ab', '/a*b'], not: ['/axb', '/ab', '/a'] },
  { source: '/a(b)', served: ['/a(b)', '/a%28b%29'], not: ['/ab'] },
  { source: '/a%26(b)', served: ['/a%26(b)'], not: ['/a', '/a%26b'] },
  { source: '/users:b%61tchGet', served: ['/users:batchGet', '/users:%62atchGet'], not: ['/users', '/users:x'] },
  { source: '/users:a%2Fb', served: ['/users:a%2Fb', '/users:a%2fb'], not: ['/users', '/users:a/b'] },
  { source: '/{id}:%61rchive', served: ['/x:archive', '/x:%61rchive'], not: ['/x', '/x%3Aarchive'] },
]

for (const { source, served, not } of SERVED) {
  t.test(`router and template agree that ${source} serves ${served.join(' ')} and not ${not.join(' ')}`, async t => {
    const route = routerOf([source])
    const template = parsePathTemplate(source)
    for (const path of served) {
      t.equal(await route(path), source, `router: ${path}`)
      t.ok(template.matches(path), `template: ${path}`)
      t.doesNotThrow(() => template.extract(path) ?? t.fail(path))
    }
    for (const path of not) {
      t.equal(await route(path), undefined, `router: ${path}`)
      t.notOk(template.matches(path), `template: ${path}`)
    }
  })
}

t.test('a path that `**` and a template without it match belongs to the latter', async t => {
  const route = routerOf(['/v1/{path=**}', '/v1', '/v1/{id}', '/v1/{id}/{path=**}'])
  t.equal(await route('/v1'), '/v1')
  t.equal(await route('/v1/a'), '/v1/{id}')
  t.equal(await route('/v1/a/b'), '/v1/{id}/{path=**}')
})

t.test('any number of verbs and of literals with escapes may share a path of the router', async t => {
  const numbers = Array.from({ length: 40 }, (_, index) => index)
  const served = [
    ...numbers.flatMap(n => [
      [`/v1/{id}:verb${n}`, `/v1/a:verb${n}`],
      [`/v1/{path=files/**}:verb${n}`, `/v1/files/a/b:verb${n}`],
      [`/v1/%C3%A9${n}/{id}`, `/v1/%c3%a9${n}/x`],
      [`/v1/%C3%A9${n}/{id}:go`, `/v1/%c3%a9${n}/x:go`],
    ]),
    ['/v1/{id}', '/v1/a:other'],
    ['/v1/{id}/{name}', '/v1/a/b'],
    ['/v1/{id}/%C3%A9', '/v1/a/%C3%A9'],
    ['/{path=**}', '/v1/files/a/b:other'],
  ] as const
  const route = routerOf(served.map(([source]) => source))
  for (const [source, path] of served) t.equal(await route(path), source, path)
})

t.test('the router serves a path exactly if one of the templates matches it', async t => {
  const literal = fc.constantFrom('a', 'b', 'a%62', 'ab', '%2A', 'a%2Fb', 'a%3Ab', '%C3%A9', '%25')
  const verb = fc.constantFrom('', '', '', ':go', ':g%6F', ':stop')
  const source = fc
    .tuple(fc.array(fc.oneof(literal, fc.constant('*')), { maxLength: 3 }), fc.constantFrom('', '', '**'), verb)
    .filter(([segments, rest]) => segments.length > 0 || rest !== '')
    .map(([segments, rest, suffix]) => `/${[...segments, ...(rest === '' ? [] : [rest])].join('/')}${suffix}`)
  const part = fc.constantFrom('a', 'b', 'ab', '%61', '*', '%2a', 'a%2fb', 'a:b', 'a%3ab', '%c3%a9', '%25', '', 'x')
  const path = fc.tuple(fc.array(part, { minLength: 1, maxLength: 4 }), verb).map(([p, v]) => `/${p.join('/')}${v}`)
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(source, { minLength: 1, maxLength: 5 }),
      fc.array(path, { minLength: 1 }),
      async (all, paths) => {
        const byShape = new Map<string, PathTemplate>(
          all.map(one => [parsePathTemplate(one).shape, parsePathTemplate(one)]),
        )
        const templates = [...byShape.values()]
        const route = routerOf(templates.map(template => template.source))
        for (const one of paths) {
          const matching = templates.filter(template => template.matches(one)).map(template => template.source)
          const found = await route(one)
          if (found === undefined ? matching.length > 0 : !matching.includes(found))
            throw new Error(`${one}: the router serves ${found}, the templates ${matching.join(' ')}`)
        }
      },
    ),
    { numRuns: 300 },
  )
})

t.test('a path with a custom verb belongs to the template with the verb, wherever the router finds it', async t => {
  const route = routerOf(['/{path=**}:go', '/{id}/{path=**}', '/v1/{id}', '/v1/{path=**}:stop'])
  for (const [path, source] of [
    ['/x:go', '/{path=**}:go'],
    ['/:go', '/{path=**}:go'],
    ['/v1/x:go', '/{path=**}:go'],
    ['/v1/x:stop', '/v1/{path=**}:stop'],
    ['/v1/x:other', '/v1/{id}'],
    ['/x:stop', '/{id}/{path=**}'],
  ] as const) {
    t.equal(await route(path), source, path)
  }
  const escaped = routerOf(['/{path=**}:a%2Fb'])
  t.equal(await escaped('/:a%2fb'), '/{path=**}:a%2Fb')
})
