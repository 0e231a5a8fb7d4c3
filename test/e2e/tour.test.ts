import { readFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { startSystem } from '../support/test-system.ts'

const readme = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8')

/** The fenced `sh` blocks under the heading, as one script: what one block sets, the next one uses. */
function tour(text: string): string[] {
  const [, section = ''] = /^## Two-minute tour$([\s\S]*?)^## /m.exec(text) ?? []
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block)
}

t.test("README's tour does what it says, as it is written", async t => {
  const system = await startSystem(t, { limits: 'as shipped' })
  const blocks = tour(readme)
  t.ok(blocks.length >= 4, `${blocks.length} blocks`)
  const { exitCode, stdout, stderr } = await execa('bash', ['-eu', '-o', 'pipefail'], {
    input: blocks.join('\necho "--- next"\n'),
    env: { GATEWAY: system.url },
    reject: false,
  })
  t.equal(exitCode, 0, stderr)
  const [, signUp = '', call = '', refresh = '', logout = ''] = stdout.split('--- next\n')
  t.match(JSON.parse(signUp), { accessToken: String, tokenType: 'Bearer', user: { name: 'Ada', role: 'user' } })
  t.notMatch(signUp, /refreshToken/, 'the refresh token is in the cookie only')
  t.match(JSON.parse(call), { name: 'Ada', email: /^ada-/ })
  t.match(JSON.parse(refresh), { accessToken: String })
  const [status, problem = '', last] = logout.trim().split('\n')
  t.equal(status, '204')
  t.match(JSON.parse(problem), { status: 401, code: 'token_revoked' })
  t.equal(last, '401')
})
