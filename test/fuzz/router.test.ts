/** Random route tables and paths: the gateway routes each request as a simple model of google/api/http.proto says. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { create, type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { PolicySchema } from '#proto/edge/v1/options_pb.js'
import { HttpRuleSchema } from '#proto/google/api/http_pb.js'
import { AccessLevel, ContractError, serviceOf } from '#runtime/grpc/contract.ts'
import type { Exposure } from '../../gateway/contract/exposure.ts'
import { parsePathTemplate } from '../../gateway/contract/path-template.ts'
import { buildRouteTable, type Route } from '../../gateway/contract/route-table.ts'
import { buildContract } from '../support/contract.ts'
import { fuzz } from './fuzz.ts'
import { startFuzzGateway } from './fuzz-gateway.ts'
import { isMoreSpecific, isTemplate, isUtf8, type ModelTemplate, matchPath, modelTemplate } from './path-model.ts'

const MAX_ROUTES = 6
const FIELDS = ['a', 'b', 'c', 'part.a', 'part.b']

const contract = buildContract({
  'fuzz.proto': `
    syntax = "proto3";
    package fuzz.v1;
    message Thing { string a = 1; string b = 2; string c = 3; Part part = 4; }
    message Part { string a = 1; string b = 2; }
    service Fuzz { ${Array.from({ length: MAX_ROUTES }, (_, index) => `rpc M${index}(Thing) returns (Thing);`).join(' ')} }
  `,
})
const service = serviceOf(contract, 'fuzz.v1.Fuzz')
const Thing = contract.getMessage('fuzz.v1.Thing') as DescMessage

const LITERALS = [
  'a',
  'b',
  'ab',
  'A',
  'a.b',
  'a~b',
  '%61',
  'a%62',
  'caf%C3%A9',
  'a%2Fb',
  'a%2fb',
  '%25',
  'a+b',
  'a%3Ab',
  '(a)',
]
const VERBS = ['go', 'stop', 'a', 'g%6F', 'a%2Fb']

interface RouteSource {
  readonly httpMethod: string
  readonly source: string
}

const literal = fc.constantFrom(...LITERALS)
const plainSegment = fc.oneof({ weight: 4, arbitrary: literal }, { weight: 1, arbitrary: fc.constant('*') })

/** The segments of a template; the names of variables are added by their order. */
const templateSegments = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 5, arbitrary: plainSegment.map(text => ({ text, isVariable: false })) },
        { weight: 3, arbitrary: fc.constant({ text: '*', isVariable: true }) },
        {
          weight: 1,
          arbitrary: fc
            .array(plainSegment, { minLength: 1, maxLength: 3 })
            .map(list => ({ text: list.join('/'), isVariable: true })),
        },
      ),
      { maxLength: 4 },
    ),
    fc.constantFrom('', '', '', '**', '{**}', '{a/**}', '{*/**}'),
  )
  .map(([segments, rest]) =>
    rest === '' ? segments : [...segments, { text: rest.replace(/[{}]/g, ''), isVariable: rest.startsWith('{') }],
  )
  .filter(segments => segments.length > 0)

const template = fc
  .tuple(
    templateSegments,
    fc.option(fc.constantFrom(...VERBS), { freq: 3 }),
    fc.shuffledSubarray(FIELDS, { minLength: 5 }),
  )
  .map(([segments, verb, names]) => {
    let used = 0
    const texts = segments.map(({ text, isVariable }) => {
      if (!isVariable) return text
      return text === '*' ? `{${names[used++]}}` : `{${names[used++]}=${text}}`
    })
    return `/${texts.join('/')}${verb === null ? '' : `:${verb}`}`
  })

const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', '*']
const routeTable = fc.array(fc.record({ httpMethod: fc.constantFrom(...METHODS), source: template }), {
  minLength: 1,
  maxLength: MAX_ROUTES,
})

const VALUES = [
  'x',
  'a',
  'b',
  'ab',
  '%61',
  'a%2Fb',
  'x%3Ago',
  'x:go',
  'x:',
  'go',
  '.',
  '~',
  'caf%C3%A9',
  '%25',
  '%2561',
  '%00',
  'a+b',
  '*',
  "'",
  '{a}',
]
const FAULTS = ['', '%zz', '%FF', '%', '%C3', '..', ':go', 'x'.repeat(300)]
const value = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 1, arbitrary: fc.constantFrom(...FAULTS) },
)

/** A path that a template probably has. */
function pathOf(source: string): fc.Arbitrary<string> {
  const { segments, verb } = modelTemplate(source)
  const parts = segments.map(segment => {
    if (segment === '**') return fc.array(value, { maxLength: 3 })
    if (segment === '*') return value.map(part => [part])
    return fc
      .oneof(
        { weight: 12, arbitrary: fc.constant(segment).map(encodeNonAscii) },
        { weight: 3, arbitrary: fc.constantFrom(...LITERALS) },
        { weight: 1, arbitrary: value },
      )
      .map(part => [part])
  })
  const suffix = fc.oneof(
    { weight: 6, arbitrary: fc.constant(verb === undefined ? '' : `:${encodeNonAscii(verb)}`) },
    { weight: 1, arbitrary: fc.constantFrom('', ...VERBS.map(name => `:${name}`), ':other', ':', '/') },
  )
  return fc.tuple(fc.tuple(...parts), suffix).map(([lists, end]) => `/${lists.flat().join('/')}${end}`)
}

function encodeNonAscii(text: string): string {
  return text.replace(/[^\0-\x7f]+/g, encodeURIComponent)
}

const cases = routeTable.chain(routes =>
  fc.record({
    routes: fc.constant(routes),
    requests: fc.array(
      fc.record({
        method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'),
        path: fc.oneof(
          ...routes.map(({ source }) => pathOf(source)),
          fc.array(value, { maxLength: 4 }).map(list => `/${list.join('/')}`),
        ),
      }),
      { minLength: 1, maxLength: 40, size: 'max' },
    ),
  }),
)

/** The rules come from outside of the contract, so that one contract has all route tables. */
function tableOf(routes: readonly RouteSource[]): Route[] {
  const policy = create(PolicySchema, { access: AccessLevel.PUBLIC })
  const exposure: Exposure = method => {
    const route = routes[service.methods.indexOf(method)]
    const internal = create(PolicySchema, { access: AccessLevel.INTERNAL })
    if (route === undefined) return { policy: internal, rule: undefined }
    const custom = { kind: route.httpMethod, path: route.source }
    return { policy, rule: create(HttpRuleSchema, { pattern: { case: 'custom', value: custom } }) }
  }
  return buildRouteTable([{ service, upstream: 'fuzz', exposure }])
}

interface ModelRoute {
  readonly name: string
  readonly method: string
  readonly template: ModelTemplate
}

const keyOf = ({ segments, verb }: ModelTemplate) => JSON.stringify([segments, verb])

/** The routes that the model serves, or undefined if two of them conflict. */
function modelRoutes(sources: readonly RouteSource[]): ModelRoute[] | undefined {
  const routes = sources.map(({ httpMethod, source }, index) => ({
    name: `/fuzz.v1.Fuzz/M${index}`,
    method: httpMethod,
    template: modelTemplate(source),
  }))
  const keys = new Set(routes.map(({ method, template }) => `${method} ${keyOf(template)}`))
  if (keys.size < routes.length) return undefined
  return routes.flatMap(route => {
    if (route.method !== '*') return [route]
    const free = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(
      method => !keys.has(`${method} ${keyOf(route.template)}`),
    )
    return free.map(method => ({ ...route, method }))
  })
}

t.test('random route tables serve random paths as the model of google/api/http.proto does', async t => {
  const gateway = await startFuzzGateway(t)
  const outcomes: Record<string, number> = {}
  const property = fc.asyncProperty(cases, async ({ routes: sources, requests }) => {
    const model = modelRoutes(sources)
    let routes: Route[]
    try {
      routes = tableOf(sources)
    } catch (error) {
      ok(error instanceof ContractError, String(error))
      equal(model, undefined, `refused: ${error.message}`)
      return
    }
    ok(model, 'two routes with one method and shape are refused')
    const served: readonly ModelRoute[] = model
    await gateway.serve(routes, contract)
    for (const { method, path } of requests) {
      const { status, headers, call } = await gateway.send({ method, target: path })
      outcomes[status] = (outcomes[status] ?? 0) + 1
      const request = `${method} ${path}`
      ok(status < 500, `${request}: ${status}`)
      if (!isUtf8(path)) {
        ok(status >= 400 || call !== undefined, request)
        continue
      }
      const found: ModelRoute[] = served.filter(route => matchPath(route.template, path) !== undefined)
      const withVerb = found.filter(({ template }) => template.verb !== undefined)
      const candidates = withVerb.length > 0 ? withVerb : found
      const allowed = new Set(candidates.map(route => route.method))
      if (allowed.has('GET')) allowed.add('HEAD')
      if (!allowed.has(method)) {
        // `/{a}` does not have the path `/`, but the router finds it there, without the methods of other templates.
        if (path === '/' && status === 404) continue
        equal(status, allowed.size === 0 ? 404 : 405, request)
        if (allowed.size > 0) equal(headers.allow, [...allowed].sort().join(', '), request)
        continue
      }
      equal(status, 200, request)
      ok(call, request)
      const possible = method === 'HEAD' ? headRoutes(candidates) : candidates.filter(route => route.method === method)
      const actual = possible.find(({ name }) => name === call.rpcPath)
      ok(actual, `${request} is served by ${call.rpcPath}`)
      const better = possible.filter(({ template }) => isMoreSpecific(template, actual.template))
      deepEqual(
        better.map(({ name }) => name),
        [],
        `${request} is served by ${call.rpcPath}`,
      )
      deepEqual(variablesOf(call.message), expectedVariables(actual.template, path), request)
    }
  })
  await fuzz(t, property, 60)
  t.comment(outcomes)
  for (const status of ['200', '404', '405']) t.ok((outcomes[status] ?? 0) > 0, `some responses are ${status}`)
})

/** The routes of HEAD, and those of GET for the other paths. */
function headRoutes(routes: readonly ModelRoute[]): ModelRoute[] {
  const own = routes.filter(({ method }) => method === 'HEAD')
  const keys = new Set(own.map(({ template }) => keyOf(template)))
  return [...own, ...routes.filter(({ method, template }) => method === 'GET' && !keys.has(keyOf(template)))]
}

/** The fields of a message that are not empty, by path. */
function variablesOf(bytes: Uint8Array): Record<string, string> {
  const { part = {}, ...own } = toJson(Thing, fromBinary(Thing, bytes)) as Record<string, unknown>
  const inner = Object.entries(part as object).map(([name, text]) => [`part.${name}`, text])
  return Object.fromEntries([...Object.entries(own), ...inner].filter(([, text]) => text !== ''))
}

function expectedVariables(model: ModelTemplate, path: string): Record<string, string> {
  return Object.fromEntries([...(matchPath(model, path) ?? [])].filter(([, text]) => text !== ''))
}

t.test('random texts are path templates exactly if the grammar of google/api/http.proto has them', async t => {
  const unit = fc.constantFrom(
    '/',
    '/',
    '/',
    '{',
    '}',
    '=',
    ':',
    '*',
    '**',
    'a',
    'b',
    '.',
    '_',
    '%41',
    '%',
    '%FF',
    '%2F',
    '-',
    ' ',
    '?',
    'é',
    '{a}',
    '{b=*}',
    '{a.b=x/**}',
  )
  const counts = { valid: 0, invalid: 0 }
  const property = fc.property(
    fc.oneof(
      template,
      fc.array(unit, { maxLength: 9 }).map(units => `/${units.join('')}`),
    ),
    source => {
      let parsed = true
      try {
        parsePathTemplate(source)
      } catch (error) {
        ok(error instanceof ContractError, String(error))
        parsed = false
      }
      equal(parsed, isTemplate(source), source)
      counts[parsed ? 'valid' : 'invalid']++
    },
  )
  await fuzz(t, property, 5000)
  t.comment(counts)
  t.ok(counts.valid > 100 && counts.invalid > 100)
})
