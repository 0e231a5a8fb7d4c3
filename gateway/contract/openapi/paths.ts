/**
 * The paths of the OpenAPI document. Two routes whose templates differ only in wildcards are one path in OpenAPI, where
 * each path has at most one operation for an HTTP method. So a variable that matches literals is written out, as
 * `/users/{name}` for `{name=users/*}`, and routes with the same path share its parameter names.
 */
import type { Variable } from '../path-template.ts'
import type { Route } from '../route-table.ts'

/** A parameter of an OpenAPI path. */
export interface PathParameter {
  /** Unique in the path, an identifier, as generators expect. Not sent, so it can differ from the field path. */
  readonly name: string
  /** The variable whose value contains the parameter; undefined for a wildcard outside of variables. */
  readonly variable: Variable | undefined
  /** Index of the wildcard among the segments of the template. */
  readonly segment: number
  /** Whether the parameter is the whole value of the variable. */
  readonly isWhole: boolean
  /** Whether the parameter stands for `**`. */
  readonly isRest: boolean
}

/** An operation of the document: the route, and where it stands. */
export interface OperationPlace {
  readonly route: Route
  readonly path: string
  readonly parameters: readonly PathParameter[]
}

/** Returns the operations of all routes, in the order of the routes. */
export function placeOperations(routes: readonly Route[]): OperationPlace[] {
  const shared = new Map<string, { path: string; names: readonly string[] }>()
  const taken = new Set<string>()
  const places = new Map<Route, OperationPlace>()
  // Specific routes first: they get the plain path, and routes of any number of segments get what is left.
  for (const route of [...routes].sort((a, b) => Number(hasRest(a)) - Number(hasRest(b))))
    places.set(route, place(route))
  return routes.flatMap(route => places.get(route) ?? [])

  function place(route: Route): OperationPlace {
    const { httpMethod } = route
    // `**` as one parameter; as two or more where another route has that path. These are paths of this route, too.
    let restLength = 1
    let layout = layOut(route, restLength)
    while (hasRest(route) && taken.has(`${httpMethod} ${layout.key}`)) layout = layOut(route, ++restLength)
    taken.add(`${httpMethod} ${layout.key}`)
    const known = shared.get(layout.key) ?? { path: layout.path, names: layout.parameters.map(({ name }) => name) }
    shared.set(layout.key, known)
    const parameters = layout.parameters.map((parameter, index) => ({
      ...parameter,
      name: known.names[index] ?? parameter.name,
    }))
    return { route, path: known.path, parameters }
  }
}

function hasRest({ template }: Route): boolean {
  return template.segments.some(({ kind }) => kind === 'rest')
}

interface Layout {
  readonly path: string
  readonly parameters: readonly PathParameter[]
  /** Equal for paths that OpenAPI does not distinguish. */
  readonly key: string
}

function layOut({ template }: Route, restLength: number): Layout {
  const { segments, variables, verb } = template
  const parameters: PathParameter[] = []
  const parts = segments.flatMap((segment, at) => {
    if (segment.kind === 'literal') return [inPath(segment.text)]
    const variable = variables.find(({ start, end }) => at >= start && at < end)
    const isRest = segment.kind === 'rest'
    const wildcards = variable === undefined ? 0 : countWildcards(segments.slice(variable.start, variable.end))
    const isWhole = variable !== undefined && variable.end - variable.start === 1 && restLength === 1
    const base = variable === undefined ? `segment${at}` : variable.fieldPath.join('_')
    return Array.from({ length: isRest ? restLength : 1 }, () => {
      const isNumbered = wildcards > 1 || (isRest && restLength > 1)
      const name = unusedName(base, isNumbered, parameters)
      parameters.push({ name, variable, segment: at, isWhole, isRest: isRest && restLength === 1 })
      return `{${name}}`
    })
  })
  const suffix = verb === undefined ? '' : `:${inPath(verb)}`
  const path = `/${parts.join('/')}${suffix}`
  return { path, parameters, key: path.replace(/\{[^}]*\}/g, '{}') }
}

/** Escapes what is not allowed in a path, and braces, which would start a parameter. */
function inPath(text: string): string {
  return text.replace(/[^\x21-\x7e]|[{}]/gu, encodeURIComponent)
}

function countWildcards(segments: Route['template']['segments']): number {
  return segments.filter(({ kind }) => kind !== 'literal').length
}

function unusedName(base: string, isNumbered: boolean, parameters: readonly PathParameter[]): string {
  let name = isNumbered ? `${base}_1` : base
  for (let number = 2; parameters.some(other => other.name === name); number++) name = `${base}_${number}`
  return name
}
