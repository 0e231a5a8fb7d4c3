import path from 'node:path'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { commandsOf } from '../support/markdown.ts'
import { startSystem } from '../support/test-system.ts'

// The whole system starts twice, beside the other tests.
t.setTimeout(300_000)

const ROOT = path.resolve(import.meta.dirname, '../..')
const MARK = '--- next'

/** Runs commands in one shell that stops at the first failure. @returns the output of each block of commands. */
async function runShell(t: Test, blocks: string[], env: Record<string, string>): Promise<string[]> {
  const { exitCode, stdout, stderr } = await execa('bash', ['-eu', '-o', 'pipefail'], {
    input: blocks.join(`\necho "${MARK}"\n`),
    env,
    cwd: ROOT,
    reject: false,
  })
  t.equal(exitCode, 0, `the commands succeed: ${stderr}`)
  return stdout.split(`${MARK}\n`)
}

t.test('the commands of the README tour and of the API guide do what the text says', async t => {
  const system = await startSystem(t, { limits: 'as shipped' })
  const tour = commandsOf('README.md', 'Tour')
  const guide = commandsOf('docs/api-guide.md')
  t.equal(tour.length, 5)
  t.equal(guide.length, 7)
  const outputs = await runShell(t, [...tour, ...guide], { GATEWAY: system.url })

  const [signUp = '', call = '', refresh = '', logout = '', search = ''] = outputs
  t.match(JSON.parse(signUp), { accessToken: String, tokenType: 'Bearer', user: { name: 'Ada', role: 'user' } })
  t.notMatch(signUp, /refreshToken/, 'the refresh token is in the cookie only')
  t.match(JSON.parse(call), { name: 'Ada', email: /^ada-/ })
  t.match(JSON.parse(refresh), { accessToken: String })
  const [status, problem = '', last] = logout.trim().split('\n')
  t.equal(status, '204')
  t.match(JSON.parse(problem), { status: 401, code: 'token_revoked' })
  t.equal(last, '401')
  const [document = '', results = ''] = search.trim().split('\n')
  t.match(JSON.parse(document), { title: 'Plan', tags: ['draft'] })
  t.match(JSON.parse(results), { results: [{ documentId: JSON.parse(document).id }] })

  const [tokens = '', invalid = '', updates = '', conditions = '', page = '', streams = '', limits = ''] =
    outputs.slice(5)
  t.match(JSON.parse(tokens), { accessToken: String, refreshToken: String })
  t.match(JSON.parse(invalid), { code: 'invalid_argument', errors: [{ field: 'colour' }] })
  const [cleared = '', masked = ''] = updates.trim().split('\n')
  t.match(JSON.parse(cleared), { title: 'Minutes', tags: [] })
  t.match(JSON.parse(masked), { title: 'Minutes', body: 'Decided: apples' })
  const [notModified, updated, mismatch = '', failed] = conditions.trim().split('\n')
  t.strictSame([notModified, updated, failed], ['304', '200', '412'])
  t.match(JSON.parse(mismatch), { code: 'etag_mismatch' })
  t.match(JSON.parse(page), { documents: { length: 1 }, nextPageToken: /./ })
  t.match(streams, /^\{"user":/, 'NDJSON')
  t.match(streams, /^data: \{"user":/m, 'server-sent events')
  t.match(limits, /ratelimit-policy: "user";q=100;w=10/i)
})

t.test('the README tour can be followed 20 times in a row from one address', async t => {
  const system = await startSystem(t, { limits: 'as shipped' })
  const tour = commandsOf('README.md', 'Tour')
  for (let round = 1; round <= 20; round++) {
    const [, call = '', , logout = '', search = ''] = await runShell(t, tour, { GATEWAY: system.url })
    t.match(JSON.parse(call), { name: 'Ada' }, `round ${round}`)
    t.match(logout, /^204\n/)
    t.match(search, /"results"/)
  }
})
