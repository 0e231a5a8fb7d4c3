/**
 * Groups the templates that have one path in the notation of find-my-way, and selects among them by custom verb and by
 * literals. The constraints of find-my-way would do this for at most 31 routes of a path.
 */
import type { PathTemplate } from '../contract/path-template.ts'
import { splitTarget } from './request-target.ts'
import { overlaps, type RouterPath, routerPath, verbOf } from './routing.ts'

/** A template, and what it stands for. */
export interface Candidate<T> {
  readonly template: PathTemplate
  readonly value: T
}

/** Returns the value of the template that has a path, raw and without query; undefined if there is none. */
type Find<T> = (path: string) => T | undefined

/** The templates of one path of the router. */
export interface RouteGroup<T> {
  /** In the notation of find-my-way. */
  readonly url: string
  /** For the option `constraints` of the route. Without it, each path that the router assigns to `url` has a template. */
  readonly constraints: { readonly group: Find<T> } | undefined
  readonly values: readonly T[]
  readonly find: Find<T>
}

interface Member<T> extends Candidate<T> {
  readonly path: RouterPath
  /** One character per segment: a template with a literal is preferred to one with a variable in its place. */
  readonly order: string
}

/**
 * Constraint strategy of find-my-way. The value of the constraint is the function of a group. If no template of the group
 * has the path, the router tries its other routes.
 */
const groupStrategy = {
  name: 'group',
  storage() {
    const groups = new Map<unknown, number>()
    return {
      // find-my-way represents the handlers of a constraint as bits of a number. It also looks up what it has set.
      get(key: unknown) {
        let bits = groups.get(key) ?? 0
        if (typeof key === 'string') {
          const { path } = splitTarget({ url: key })
          for (const [find, own] of groups) if ((find as Find<unknown>)(path) !== undefined) bits |= own
        }
        return (bits === 0 ? null : bits) as never
      },
      set: (find: unknown, bits: unknown) => void groups.set(find, bits as number),
    }
  },
  // Called for each request, so the path is split only where a group needs it.
  deriveConstraint: ({ url = '/' }: { url?: string }) => url,
  mustMatchWhenDerived: false,
}

/** The constraints that groups use, for the option `constraints` of the router. */
export const routerConstraints = { group: groupStrategy }

/** Groups the templates of one HTTP method. No two of them have the same shape. */
export function groupRoutes<T>(candidates: readonly Candidate<T>[]): RouteGroup<T>[] {
  const shapes = new Set(candidates.map(({ template }) => template.shape))
  const members = candidates.flatMap(candidate => {
    // The `*` of find-my-way needs a slash before it. `**` may match no segment, unless another route has that path.
    const { template } = candidate
    const { withoutRest } = template
    const hasOwnPath = withoutRest !== undefined && !shapes.has(withoutRest.shape)
    return (hasOwnPath ? [template, withoutRest] : [template]).map(
      (part): Member<T> => ({
        ...candidate,
        path: routerPath(part),
        order: part.segments.map(({ kind }) => (kind === 'literal' ? 0 : 1)).join(''),
      }),
    )
  })
  return [...Map.groupBy(members, ({ path }) => path.url)].map(([url, own]) =>
    createGroup(url, own, verbsElsewhere(own, candidates)),
  )
}

/**
 * Returns the templates with a verb that have paths of a group, and that the router finds after the group: for
 * `/a:go` it tries `/{id}` before `/**:go`.
 */
function verbsElsewhere<T>(group: readonly Member<T>[], candidates: readonly Candidate<T>[]): PathTemplate[] {
  const plain = group.filter(({ template }) => template.verb === undefined)
  return candidates
    .map(({ template }) => template)
    .filter(
      template =>
        template.verb !== undefined &&
        !group.some(member => member.template === template) &&
        plain.some(member => overlaps(member.template, template)),
    )
}

function createGroup<T>(url: string, members: readonly Member<T>[], elsewhere: readonly PathTemplate[]): RouteGroup<T> {
  const sorted = members.toSorted((one, other) => compare(one.order, other.order))
  const byVerb = Map.groupBy(sorted, ({ path }) => path.verb)
  // The router does not compare escapes, nor whether a verb follows a segment.
  const first = (verb: string, path: string) =>
    byVerb.get(verb)?.find(member => (!member.path.hasEscapes && path[1] !== ':') || member.template.matches(path))
      ?.value

  const find: Find<T> = path => {
    const verb = verbOf(path)
    if (verb === '') return first('', path)
    // A verb that no template has is a part of the last segment.
    return first(verb, path) ?? (elsewhere.some(template => template.matches(path)) ? undefined : first('', path))
  }
  const hasEachPath = elsewhere.length === 0 && members.some(({ path }) => path.verb === '' && !path.hasEscapes)
  return {
    url,
    constraints: hasEachPath ? undefined : { group: find },
    values: members.map(({ value }) => value),
    find,
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
