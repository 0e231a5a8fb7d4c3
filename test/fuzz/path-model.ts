/**
 * A model of path templates, written from google/api/http.proto alone and as simple as possible: the reference of the
 * router in the fuzz tests. A path matches a template if its segments do, one after another.
 */

/** A template as lists of strings: literals in canonical spelling, `*` and `**`. */
export interface ModelTemplate {
  readonly segments: readonly string[]
  readonly verb: string | undefined
  readonly variables: readonly { readonly name: string; readonly start: number; readonly end: number }[]
}

const VARIABLE = /\{([\w.]+)(?:=([^}]*))?\}/g

/** Parses a valid template. */
export function modelTemplate(source: string): ModelTemplate {
  const [, pattern = '', verb] = /^\/(.*?)(?::([^/:{}]*))?$/.exec(source) ?? []
  const variables: { name: string; start: number; end: number }[] = []
  // The slashes in a variable separate segments as well.
  const plain = pattern.replace(VARIABLE, (_, name: string, inner = '*', at: number) => {
    const before = pattern.slice(0, at).replace(VARIABLE, (_match, _name, within = '*') => within)
    const start = before.split('/').length - 1
    variables.push({ name, start, end: start + inner.split('/').length })
    return inner
  })
  const segments = plain.split('/').map(segment => (/^\*\*?$/.test(segment) ? segment : canonical(segment)))
  return { segments, verb: verb === undefined ? undefined : canonical(verb), variables }
}

/** Whether the grammar has the template (google/api/http.proto, "Path template syntax"; `**` is the last segment). */
export function isTemplate(source: string): boolean {
  const literal = String.raw`(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2})+`
  const plain = String.raw`(?:\*\*|\*|${literal})`
  const variable = String.raw`\{[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:=${plain}(?:/${plain})*)?\}`
  const segment = `(?:${plain}|${variable})`
  if (!new RegExp(`^/${segment}(?:/${segment})*(?::${literal})?$`).test(source)) return false
  if (!isUtf8(source)) return false
  const { segments, variables } = modelTemplate(source)
  const hasRestInside = segments.slice(0, -1).includes('**')
  return !hasRestInside && new Set(variables.map(({ name }) => name)).size === variables.length
}

/**
 * Spells a segment in one way (RFC 3986 section 6.2.2): unreserved characters and those outside ASCII as themselves, other
 * escapes in capitals.
 */
function canonical(segment: string): string {
  return segment.replace(/(?:%[0-9a-f]{2})+/gi, run => {
    const text = decodeURIComponent(run)
    return [...text].map(char => (/[\w.~\-'()!]|[^\0-\x7f]/.test(char) ? char : escapeOf(char))).join('')
  })
}

function escapeOf(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

export function isUtf8(part: string): boolean {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** Returns the values of the variables, by name; undefined if the path does not match. @param path valid UTF-8. */
export function matchPath({ segments, verb, variables }: ModelTemplate, path: string): Map<string, string> | undefined {
  const parts = partsOf(path, verb)
  if (parts === undefined) return undefined
  const fixed = segments.filter(segment => segment !== '**')
  const hasRest = fixed.length < segments.length
  if (hasRest ? parts.length < fixed.length : parts.length !== fixed.length) return undefined
  if (fixed.some((segment, index) => segment !== '*' && segment !== canonical(parts[index] ?? ''))) return undefined
  return new Map(
    variables.map(({ name, start, end }) => {
      const last = segments[end - 1] === '**' ? parts.length : end
      const isMultiple = end - start > 1 || segments[start] === '**'
      const values = parts.slice(start, last)
      return [name, isMultiple ? values.map(decodeAllButSlash).join('/') : decodeURIComponent(values[0] ?? '')]
    }),
  )
}

function partsOf(path: string, verb: string | undefined): string[] | undefined {
  let plain = path
  if (verb !== undefined) {
    const [, before, suffix] = /^(.*):([^/:]*)$/.exec(path) ?? []
    if (before === undefined || suffix === undefined || canonical(suffix) !== verb) return undefined
    plain = before
  }
  if (plain === '/') return []
  const parts = plain.slice(1).split('/')
  return plain === '' || parts.includes('') ? undefined : parts
}

/** "All characters except %2F": http.proto on variables of several segments. */
function decodeAllButSlash(part: string): string {
  return decodeURIComponent(part.replace(/%2f/gi, slash => `%25${slash.slice(1)}`))
}

/**
 * Whether a template is at least as specific as another in each segment, and more specific in one: a literal is more
 * specific than `*`, and `*` is more specific than `**`.
 */
export function isMoreSpecific({ segments: one }: ModelTemplate, { segments: other }: ModelTemplate): boolean {
  const length = Math.max(one.length, other.length)
  const orders = Array.from({ length }, (_, at) => rankOf(one[at]) - rankOf(other[at]))
  return orders.every(order => order <= 0) && orders.some(order => order < 0)
}

function rankOf(segment: string | undefined): number {
  if (segment === '**') return 2
  return segment === '*' ? 1 : 0
}
