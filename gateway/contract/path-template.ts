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
 * `**` matches any number of segments, none included, and only stands last.
 */
import { ContractError } from '#runtime/grpc/contract.ts'

export type Segment = { kind: 'literal'; text: string } | { kind: 'single' } | { kind: 'rest' }

export interface Variable {
  /** Proto names from the request message down. */
  readonly fieldPath: readonly string[]
  /** The segments it spans: from `start`, `end` exclusive. */
  readonly start: number
  readonly end: number
  /** More than one segment, or `**`: an encoded slash in it stays encoded, so that it is not taken for a separator. */
  readonly isMultiple: boolean
}

export interface PathTemplate {
  readonly source: string
  readonly segments: readonly Segment[]
  readonly variables: readonly Variable[]
  readonly verb: string | undefined
  /** Equal for two templates that match the same paths. */
  readonly shape: string
  /** Whether a raw request path, without the query, is one of the template's. */
  matches(path: string): boolean
  /**
   * The values of the variables in a request path, percent-decoded exactly once, in the order of `variables`.
   * @param path raw, without the query; it is known to match the segments.
   * @returns undefined where the path does not match after all: an empty segment, or a verb that is not there.
   * @throws URIError for an escape that is not UTF-8.
   */
  extract(path: string): string[] | undefined
}

/** @throws ContractError that says what is wrong and where. */
export function parsePathTemplate(source: string): PathTemplate {
  const parser = new TemplateParser(source)
  const { segments, variables, verb } = parser.template()
  const shape = segments.map(shapeOf).join('/') + (verb === undefined ? '' : `:${verb}`)
  const restAt = segments.findIndex(segment => segment.kind === 'rest')
  if (restAt !== -1 && restAt !== segments.length - 1) parser.fail('`**` must be the last segment')

  return {
    source,
    segments,
    variables,
    verb,
    shape,
    matches(path) {
      const withoutVerb = verb === undefined ? path : stripVerb(path, verb)
      const parts = withoutVerb?.slice(1).split('/') ?? []
      return (
        (restAt === -1 ? parts.length === segments.length : parts.length >= restAt) &&
        !parts.includes('') &&
        segments.every((segment, index) => segment.kind !== 'literal' || segment.text === parts[index])
      )
    },
    extract(path) {
      const withoutVerb = verb === undefined ? path : stripVerb(path, verb)
      if (withoutVerb === undefined) return undefined
      const parts = withoutVerb.slice(1).split('/')
      if (parts.includes('')) return undefined
      return variables.map(({ start, end, isMultiple }) => {
        if (!isMultiple) return decode(parts[start] ?? '')
        const last = segments[end - 1]?.kind === 'rest' ? parts.length : end
        return parts.slice(start, last).map(decodeKeepingSlashes).join('/')
      })
    },
  }
}

function shapeOf(segment: Segment): string {
  if (segment.kind === 'literal') return segment.text
  return segment.kind === 'single' ? '*' : '**'
}

function stripVerb(path: string, verb: string): string | undefined {
  return path.endsWith(`:${verb}`) ? path.slice(0, -verb.length - 1) : undefined
}

/** Nearly always there is nothing to decode, and to see that takes a tenth of the time. */
function decode(part: string): string {
  return part.includes('%') ? decodeURIComponent(part) : part
}

/** google/api/http.proto: in a variable of several segments all is decoded but `%2F`. */
function decodeKeepingSlashes(part: string): string {
  return part
    .split(/(%2f)/i)
    .map(piece => (/^%2f$/i.test(piece) ? piece : decodeURIComponent(piece)))
    .join('')
}

// RFC 3986 pchar without ":" (the verb's) and without what the grammar uses itself.
const LITERAL = /[A-Za-z0-9\-._~!$&'()+,;@%]+/y
const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y

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
    const verb = this.#take(':') ? this.#match(LITERAL, 'a verb') : undefined
    if (this.#at < this.#source.length) this.fail(`unexpected "${this.#source[this.#at]}"`)
    return { segments: this.#segments, variables: this.#variables, verb }
  }

  #segmentList(where: { insideVariable: boolean }): void {
    do this.#segment(where)
    while (this.#take('/'))
  }

  #segment(where: { insideVariable: boolean }): void {
    if (this.#take('**')) this.#segments.push({ kind: 'rest' })
    else if (this.#take('*')) this.#segments.push({ kind: 'single' })
    else if (this.#take('{')) this.#variable(where)
    else this.#segments.push({ kind: 'literal', text: this.#match(LITERAL, 'a segment') })
  }

  #variable({ insideVariable }: { insideVariable: boolean }): void {
    if (insideVariable) this.fail('a variable cannot stand in a variable')
    const fieldPath = this.#fieldPath()
    if (this.#variables.some(other => other.fieldPath.join() === fieldPath.join())) {
      this.fail(`${fieldPath.join('.')} is given twice`)
    }
    const start = this.#segments.length
    if (this.#take('=')) this.#segmentList({ insideVariable: true })
    else this.#segments.push({ kind: 'single' })
    this.#expect('}')
    const end = this.#segments.length
    const isMultiple = end - start > 1 || this.#segments[start]?.kind === 'rest'
    this.#variables.push({ fieldPath, start, end, isMultiple })
  }

  #fieldPath(): string[] {
    const path = [this.#match(IDENT, 'a field name')]
    while (this.#take('.')) path.push(this.#match(IDENT, 'a field name'))
    return path
  }

  #take(token: string): boolean {
    if (!this.#source.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#take(token)) this.fail(`expected "${token}"`)
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
