/**
 * Path templates of google.api.http (google/api/http.proto, "Path template syntax"):
 *
 *   Template  = "/" Segments [ Verb ] ;
 *   Segments  = Segment { "/" Segment } ;
 *   Segment   = "*" | "**" | LITERAL | Variable ;
 *   Variable  = "{" FieldPath [ "=" Segments ] "}" ;
 *   FieldPath = IDENT { "." IDENT } ;
 *   Verb      = ":" LITERAL ;
 *
 * `**` matches any number of segments, including none, and must be the last segment. A literal matches each spelling of
 * itself that RFC 3986 section 6.2.2 calls equivalent: `a%62c` matches `abc`.
 */
import { ContractError } from '#runtime/grpc/contract.ts'

/**
 * A segment of a template: a literal, `*` (one segment) or `**` (all remaining segments). `text` is the literal as the
 * contract spells it, `canonical` its form by `canonicalText`.
 */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string; readonly canonical: string }
  | { readonly kind: 'single' | 'rest' }

/** A variable of a template, which binds a field of the request message. */
export interface Variable {
  /** Proto names of the fields from the request message to the bound field. */
  readonly fieldPath: readonly string[]
  /** Index of the first segment that the variable spans. */
  readonly start: number
  /** Index after its last segment. */
  readonly end: number
  /** Whether it spans several segments or `**`. Then `%2F` stays encoded, to distinguish it from a separator. */
  readonly isMultiple: boolean
}

/** A parsed path template. */
export interface PathTemplate {
  /** The template as written in the contract. */
  readonly source: string
  readonly segments: readonly Segment[]
  readonly variables: readonly Variable[]
  /** The verb after the colon, by `canonicalText`; undefined if there is none. */
  readonly verb: string | undefined
  /** Equal for two templates that match the same paths. */
  readonly shape: string
  /** The template that matches the paths in which `**` matches no segment; undefined if there is no `**`. */
  readonly withoutRest: Pick<PathTemplate, 'source' | 'segments' | 'verb' | 'shape'> | undefined
  /** Whether the template matches a raw request path without its query. */
  matches(path: string): boolean
  /**
   * Extracts the values of the variables from a request path, in the order of `variables`, percent-decoded once.
   * @param path raw, without the query. The router has matched it to the segments.
   * @returns undefined if a segment is empty or missing or the verb is missing, which the router does not check.
   * @throws URIError if an escape sequence is not UTF-8.
   */
  extract(path: string): string[] | undefined
}

/** Parses a path template. @throws ContractError with the reason and the position of the error. */
export function parsePathTemplate(source: string): PathTemplate {
  const parser = new TemplateParser(source)
  const { segments, variables, verb } = parser.template()
  const shape = shapeOf(segments, verb)
  const restAt = segments.findIndex(segment => segment.kind === 'rest')
  if (restAt !== -1 && restAt !== segments.length - 1) parser.fail('`**` must be the last segment')
  const fixed = restAt === -1 ? segments : segments.slice(0, restAt)

  return {
    source,
    segments,
    variables,
    verb,
    shape,
    withoutRest: restAt === -1 ? undefined : { source, segments: fixed, verb, shape: shapeOf(fixed, verb) },
    matches(path) {
      const parts = partsOf(path, verb)
      return (
        parts !== undefined &&
        (restAt === -1 ? parts.length === fixed.length : parts.length >= fixed.length) &&
        fixed.every(
          (segment, index) => segment.kind !== 'literal' || segment.canonical === canonicalText(parts[index] ?? ''),
        )
      )
    },
    extract(path) {
      const parts = partsOf(path, verb)
      if (parts === undefined || parts.length < fixed.length) return undefined
      return variables.map(({ start, end, isMultiple }) => {
        if (!isMultiple) return decode(parts[start] ?? '')
        const last = segments[end - 1]?.kind === 'rest' ? parts.length : end
        return parts.slice(start, last).map(decodeKeepingSlashes).join('/')
      })
    },
  }
}

/** Returns the segments of a path without its verb; undefined if one is empty or the verb is missing. */
function partsOf(path: string, verb: string | undefined): string[] | undefined {
  const withoutVerb = verb === undefined ? path : stripVerb(path, verb)
  if (withoutVerb === '/') return []
  const parts = withoutVerb?.slice(1).split('/')
  return parts?.includes('') ? undefined : parts
}

function shapeOf(segments: readonly Segment[], verb: string | undefined): string {
  const shapes = segments.map(segment => {
    if (segment.kind === 'literal') return segment.canonical
    return segment.kind === 'single' ? '*' : '**'
  })
  return shapes.join('/') + (verb === undefined ? '' : `:${verb}`)
}

function stripVerb(path: string, verb: string): string | undefined {
  const colon = path.lastIndexOf(':')
  return colon > path.lastIndexOf('/') && canonicalText(path.slice(colon + 1)) === verb
    ? path.slice(0, colon)
    : undefined
}

/**
 * Decodes the escapes in a part of a path, except those of `%*;/?:@&=+$,#`, which then have capital digits. An asterisk
 * becomes an escape, so that it differs from `*` in a shape. The texts of two equivalent parts are equal.
 * @returns the part itself if it is not valid percent-encoding.
 */
export function canonicalText(part: string): string {
  if (!/[%*]/.test(part)) return part
  try {
    const decoded = decodeURI(part.replaceAll('%25', '%2525'))
    return decoded.replaceAll('*', '%2A').replace(/%[\da-f]{2}/gi, octet => octet.toUpperCase())
  } catch {
    return part
  }
}

// Usually there is nothing to decode, and the test takes a tenth of the time of decoding.
function decode(part: string): string {
  return part.includes('%') ? decodeURIComponent(part) : part
}

/** Decodes everything except `%2F`, as google/api/http.proto specifies for variables of several segments. */
function decodeKeepingSlashes(part: string): string {
  return part
    .split(/(%2f)/i)
    .map(text => (/^%2f$/i.test(text) ? text : decodeURIComponent(text)))
    .join('')
}

// RFC 3986 pchar without ":" (which starts the verb) and without the other delimiters of the grammar.
const LITERAL = /[A-Za-z0-9\-._~!$&'()+,;@%]+/y
const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y

/** A recursive-descent parser with one method per production of the grammar. */
class TemplateParser {
  readonly #source: string
  #at = 0
  readonly #segments: Segment[] = []
  readonly #variables: Variable[] = []

  constructor(source: string) {
    this.#source = source
  }

  template(): { segments: Segment[]; variables: Variable[]; verb: string | undefined } {
    this.#expect('/')
    this.#segmentList({ insideVariable: false })
    const verb = this.#accept(':') ? this.#literal('a verb').canonical : undefined
    if (this.#at < this.#source.length) this.fail(`unexpected "${this.#source[this.#at]}"`)
    return { segments: this.#segments, variables: this.#variables, verb }
  }

  #segmentList(where: { insideVariable: boolean }): void {
    do this.#segment(where)
    while (this.#accept('/'))
  }

  #segment(where: { insideVariable: boolean }): void {
    if (this.#accept('**')) this.#segments.push({ kind: 'rest' })
    else if (this.#accept('*')) this.#segments.push({ kind: 'single' })
    else if (this.#accept('{')) this.#variable(where)
    else this.#segments.push({ kind: 'literal', ...this.#literal('a segment') })
  }

  #literal(what: string): { text: string; canonical: string } {
    const text = this.#match(LITERAL, what)
    try {
      decodeURIComponent(text)
    } catch {
      this.fail(`${what} has an escape that is not UTF-8`)
    }
    return { text, canonical: canonicalText(text) }
  }

  #variable({ insideVariable }: { insideVariable: boolean }): void {
    if (insideVariable) this.fail('a variable cannot contain a variable')
    const fieldPath = this.#fieldPath()
    if (this.#variables.some(other => other.fieldPath.join() === fieldPath.join())) {
      this.fail(`${fieldPath.join('.')} is given twice`)
    }
    const start = this.#segments.length
    if (this.#accept('=')) this.#segmentList({ insideVariable: true })
    else this.#segments.push({ kind: 'single' })
    this.#expect('}')
    const end = this.#segments.length
    const isMultiple = end - start > 1 || this.#segments[start]?.kind === 'rest'
    this.#variables.push({ fieldPath, start, end, isMultiple })
  }

  #fieldPath(): string[] {
    const path = [this.#match(IDENT, 'a field name')]
    while (this.#accept('.')) path.push(this.#match(IDENT, 'a field name'))
    return path
  }

  #accept(token: string): boolean {
    if (!this.#source.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#accept(token)) this.fail(`expected "${token}"`)
  }

  #match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#source)
    if (match === null) return this.fail(`expected ${what}`)
    this.#at += match[0].length
    return match[0]
  }

  fail(reason: string): never {
    throw new ContractError(`Path template "${this.#source}": ${reason} at ${this.#at}`)
  }
}
