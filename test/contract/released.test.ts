/**
 * What is promised to clients by proto/released.binpb still holds. buf compares messages and methods (`make check`); it
 * does not look into options, so the routes, which are options, are compared here.
 */
import path from 'node:path'
import type { FileRegistry } from '@bufbuild/protobuf'
import t from 'tap'
import { AccessLevel, type HttpRule, httpRuleOf, methodName, policyOf, readContract } from '#runtime/grpc/contract.ts'

/** `GET /v1/users/{id}` -> what a client relies on besides the messages. */
type Routes = Map<string, { method: string; body: string; responseBody: string; access: string; successStatus: number }>

function routesOf(contract: FileRegistry): Routes {
  const routes: Routes = new Map()
  for (const file of contract) {
    if (file.kind !== 'service') continue
    for (const method of file.methods) {
      const rule = httpRuleOf(method)
      const policy = policyOf(method)
      for (const binding of rule === undefined ? [] : [rule, ...rule.additionalBindings]) {
        routes.set(nameOf(binding), {
          method: methodName(method),
          body: binding.body,
          responseBody: binding.responseBody,
          access: `${AccessLevel[policy?.access ?? 0]} ${policy?.roles.join(' ') ?? ''}`,
          successStatus: policy?.successStatus ?? 0,
        })
      }
    }
  }
  return routes
}

function nameOf({ pattern }: HttpRule): string {
  return pattern.case === 'custom'
    ? `${pattern.value.kind} ${pattern.value.path}`
    : `${pattern.case?.toUpperCase()} ${pattern.value}`
}

/** The routes that are gone or differ, as lines. */
function broken(released: Routes, current: Routes): string[] {
  return [...released].flatMap(([route, promised]) => {
    const now = current.get(route)
    if (now === undefined) return `${route} is gone`
    const differences = Object.entries(promised).filter(([key, value]) => now[key as keyof typeof now] !== value)
    return differences.map(([key, value]) => `${route}: ${key} was ${value}, is ${now[key as keyof typeof now]}`)
  })
}

const proto = path.resolve(import.meta.dirname, '../../proto')
const released = routesOf(readContract(path.join(proto, 'released.binpb')))
const current = routesOf(readContract(path.join(proto, 'gen/contract.binpb')))

t.test('every released route is still there and means the same', async t => {
  t.ok(released.size > 0, `${released.size} routes`)
  t.strictSame(broken(released, current), [])
})

t.test('a route that is gone or differs is found', async t => {
  const changed: Routes = new Map(current)
  changed.delete('POST /v1/auth/logout')
  const login = changed.get('POST /v1/auth/login')
  if (login !== undefined) changed.set('POST /v1/auth/login', { ...login, access: 'USER ' })
  t.match(broken(released, changed), [/^POST \/v1\/auth\/login: access was PUBLIC/, 'POST /v1/auth/logout is gone'])
})
