/**
 * The introduction of the API reference, in Markdown: how to get a token, errors, pages and limits. It describes what the
 * routes of this gateway have, so that it fits the services of others as well.
 */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { AccessLevel, isIfMatch } from '#runtime/grpc/contract.ts'
import { responseFields } from '../contract/edge-fields.ts'
import type { PossibleProblem } from '../contract/openapi/problems.ts'
import { isStream, type Route } from '../contract/route-table.ts'
import { PROBLEM_KINDS } from './method-problems.ts'

export interface IntroductionOptions {
  readonly routes: readonly Route[]
  readonly publicUrl: string
  /** Maximum size of a request body in bytes. */
  readonly bodyLimit: number
  readonly problemsOf: (route: Route) => readonly PossibleProblem[]
  /** The rate-limit classes of the routes, each as a sentence. */
  readonly classes: ReadonlyMap<string, string>
}

export function writeIntroduction(options: IntroductionOptions): string {
  const sections = [authentication(options), requests(options), pages(options), streams(options), limits(options)]
  return [...sections, errors(options)].filter(section => section !== '').join('\n\n')
}

function authentication({ routes, publicUrl }: IntroductionOptions): string {
  if (routes.every(({ policy }) => policy.access === AccessLevel.PUBLIC)) return ''
  const start = `# Get a token

Most operations require an access token. Send it in the header \`Authorization: Bearer\`. The description of each operation
says whether it needs one, and which role.`
  const signIn = routes.find(isSignIn)
  if (signIn === undefined) return `${start}\n\nThe operator of this API says who issues access tokens.`
  const refresh = routes.find(isRefresh)
  return `${start}

To sign in, send \`${signIn.httpMethod} ${signIn.template.source}\`; the response has \`accessToken\`, which is valid for
\`expiresIn\` seconds.

\`\`\`sh
curl ${publicUrl}${signIn.template.source} \\
  -H 'Content-Type: application/json' \\
  -d '{"email": "ada@example.com", "password": "…"}'
\`\`\`

On this page, paste the token into **Authentication** above the operations. Requests of the page then carry it, and the
browser keeps it until you remove it.${
    refresh === undefined
      ? ''
      : `\n\nBefore it expires, or after a 401 with the code \`token_expired\`, get a new one with
\`${refresh.httpMethod} ${refresh.template.source}\`.`
  }`
}

/** Whether a route returns tokens for a password. */
function isSignIn({ descriptor, policy, httpMethod }: Route): boolean {
  return (
    httpMethod === 'POST' &&
    policy.access === AccessLevel.PUBLIC &&
    (policy.successStatus || 200) === 200 &&
    hasField(descriptor.input.fields, 'password') &&
    hasField(responseFields(descriptor.output), 'access_token')
  )
}

/** Whether a route returns tokens for a refresh token. */
function isRefresh({ descriptor, httpMethod }: Route): boolean {
  return (
    httpMethod === 'POST' &&
    hasField(descriptor.input.fields, 'refresh_token') &&
    hasField(responseFields(descriptor.output), 'access_token')
  )
}

function hasField(fields: readonly DescField[], name: string): boolean {
  return fields.some(field => field.name === name)
}

function requests({ routes, bodyLimit }: IntroductionOptions): string {
  const isConditional = routes.some(({ descriptor }) => descriptor.input.fields.some(isIfMatch))
  const bodies = `- Send bodies as \`Content-Type: application/json\` without Content-Encoding, at most ${bodyLimit.toLocaleString('en')} bytes.`
  return `# Requests

${routes.some(({ body }) => body.kind !== 'none') ? `${bodies}\n` : ''}- An unknown field or query parameter, or a field given twice, is an error (\`invalid_argument\`).
- 64-bit integers are strings in JSON. Timestamps are RFC 3339, durations are seconds such as \`"2.5s"\`.
- Ignore fields of responses that you do not know: new versions add fields.${
    isConditional
      ? '\n- With `If-Match`, a change is made only if the resource still has that `ETag`; otherwise the response is 412.'
      : ''
  }`
}

function pages({ routes }: IntroductionOptions): string {
  if (!routes.some(({ descriptor }) => isPaged(descriptor.input))) return ''
  return `# Pages

Lists take \`pageSize\` and \`pageToken\`. The response has \`nextPageToken\`: pass it as \`pageToken\` to get the next page. It is
empty on the last page.`
}

function isPaged({ fields }: DescMessage): boolean {
  return hasField(fields, 'page_size') && hasField(fields, 'page_token')
}

function streams({ routes }: IntroductionOptions): string {
  if (!routes.some(isStream)) return ''
  return `# Streams

A streaming operation responds with one JSON document per line (\`application/x-ndjson\`), or with server-sent events if the
request has \`Accept: text/event-stream\`. A stream that fails ends with a line \`{"error": {…}}\`, or an event named \`error\`,
whose value is a problem document.`
}

function limits({ classes }: IntroductionOptions): string {
  if (classes.size === 0) return ''
  const rows = [...classes].map(([name, limit]) => `| \`${name}\` | ${limit} |`)
  return `# Rate limits

Each operation belongs to a class, and each user, or client address without a user, has a quota per class. \`RateLimit\` has
what is left of it, \`RateLimit-Policy\` the quota. Beyond it, the response is 429 \`rate_limited\`; retry after the seconds in
\`Retry-After\`.

| class | limit |
| --- | --- |
${rows.join('\n')}`
}

function errors({ routes, problemsOf }: IntroductionOptions): string {
  const found = new Map<string, PossibleProblem>()
  for (const problem of routes.flatMap(problemsOf)) if (!found.has(problem.code)) found.set(problem.code, problem)
  for (const code of ['route_not_found', 'method_not_allowed']) {
    const kind = PROBLEM_KINDS[code]
    if (kind !== undefined) found.set(code, { code, ...kind, title: '', detail: '' })
  }
  const rows = [...found.values()]
    .sort((a, b) => a.status - b.status || a.code.localeCompare(b.code))
    .map(({ code, status, meaning }) => {
      const cure = PROBLEM_KINDS[code]?.meaning === meaning ? PROBLEM_KINDS[code].cure : ''
      return `| \`${code}\` | ${status} | ${cell(meaning)} | ${cell(cure)} |`
    })
  return `# Errors

Every error is a problem document (RFC 9457), \`application/problem+json\`. Programs test \`code\`, which is stable; \`detail\` is
for people. \`errors\` lists invalid fields. Include \`trace_id\` when you report a problem. A request that ends with 503 or
504, or without a response, may have taken effect.

| code | status | meaning | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
