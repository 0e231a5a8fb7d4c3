/**
 * Compares the routes of the contract with the released ones in proto/released.binpb. `make check` runs buf, which
 * detects incompatible changes of messages and methods but ignores options; routes and policies are options.
 */
import path from 'node:path'
import type { FileRegistry } from '@bufbuild/protobuf'
import t from 'tap'
import { AccessLevel, type HttpRule, httpRuleOf, methodName, policyOf, readContract } from '#runtime/grpc/contract.ts'

/** By HTTP method and path, such as `GET /v1/users/{id}`: the parts of a route that clients rely on. */
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

/** Returns one line per incompatible change: a removed route or a changed part of one. */
function findBreakingChanges(released: Routes, current: Routes): string[] {
  return [...released].flatMap(([route, expected]) => {
    const now = current.get(route)
    if (now === undefined) return `${route} is removed`
    const differences = Object.entries(expected).filter(([key, value]) => now[key as keyof typeof now] !== value)
    return differences.map(([key, value]) => `${route}: ${key} was ${value}, is ${now[key as keyof typeof now]}`)
  })
}

const proto = path.resolve(import.meta.dirname, '../../proto')
const released = routesOf(readContract(path.join(proto, 'released.binpb')))
const current = routesOf(readContract(path.join(proto, 'gen/contract.binpb')))

t.test('every released route exists unchanged in the current contract', async t => {
  t.ok(released.size > 0, `${released.size} routes`)
  t.strictSame(findBreakingChanges(released, current), [])
})

t.test('a removed and a changed route are reported', async t => {
  const changed: Routes = new Map(current)
  changed.delete('POST /v1/auth/logout')
  const login = changed.get('POST /v1/auth/login')
  if (login !== undefined) changed.set('POST /v1/auth/login', { ...login, access: 'USER ' })
  t.match(findBreakingChanges(released, changed), [
    /^POST \/v1\/auth\/login: access was PUBLIC/,
    'POST /v1/auth/logout is removed',
  ])
})
