import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { request, signIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

/** Logs every statement as slow, so that the test can count statements. */
const system = await startSystem(t, { env: { DATABASE_SLOW_MS: '0.001' } })
const { url, administrator } = system
const COUNT = 6000

const ada = await signUp(url)
await withClient(system.databases.adminUrl, client =>
  client.query(
    `insert into users.documents_all (owner_id, title, body)
     select $1, 'Plan ' || number, repeat('x', 4000) from generate_series(1, $2) as number`,
    [ada.user.id, COUNT],
  ),
)

/** The lines of a complete export. */
async function linesOf(t: Test, at: string, token: string) {
  const response = await fetch(at, { headers: { authorization: `Bearer ${token}` } })
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/x-ndjson/)
  return (await response.text())
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}

/** Number of statements so far that read documents for an export. */
const statementCount = () =>
  system.userSvc.entries.filter(
    ({ msg, statement }) => msg === 'slow statement' && /from "documents_all".*limit/.test(String(statement)),
  ).length

const open = async () => {
  const headers = { authorization: `Bearer ${ada.accessToken}` }
  const sent = http.get(`${url}/v1/users/me/export`, { headers, agent: false })
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
  return { sent, response }
}

/** The number of statements once none has been logged for 500 ms: no event marks the last statement of a paused export. */
async function settledCount(): Promise<number> {
  let before = -1
  await until(
    async () => {
      await delay(500)
      const isSettled = statementCount() === before && before > 0
      before = statementCount()
      return isSettled
    },
    isSettled => isSettled,
  )
  return before
}

/** Statements of a complete export: batches of 50 documents. */
const TOTAL = COUNT / 50

t.test('an export has one line per record, complete and in order', async t => {
  const lines = await linesOf(t, `${url}/v1/users/me/export`, ada.accessToken)
  t.equal(lines.length, COUNT + 2)
  t.match(lines[0], { user: { id: ada.user.id } })
  t.match(lines[1], { session: { id: String } })
  // Creation order.
  t.same(
    lines.slice(2).map(({ document }) => document.title),
    Array.from({ length: COUNT }, (_, index) => `Plan ${index + 1}`),
  )
  t.equal(await settledCount(), TOTAL)
})

t.test(
  'back-pressure of a paused client stops the statements, and the export completes when the client resumes',
  async t => {
    const before = statementCount()
    const { response } = await open()
    response.pause()
    const stopped = (await settledCount()) - before
    t.ok(stopped > 0 && stopped < TOTAL / 2, `${stopped} of ${TOTAL} statements`)
    let text = ''
    for await (const chunk of response) text += chunk
    t.equal(text.trimEnd().split('\n').length, COUNT + 2)
    t.equal((await settledCount()) - before, TOTAL)
  },
)

t.test('a client that disconnects stops the statements', async t => {
  const before = statementCount()
  const { sent, response } = await open()
  await once(response, 'data')
  sent.destroy()
  const stopped = (await settledCount()) - before
  t.ok(stopped < TOTAL, `${stopped} of ${TOTAL} statements`)
})

t.test('administrators can export any user, other users only themselves', async t => {
  const grace = await signUp(url)
  const root = await signIn(url, administrator.email, administrator.password)
  const at = `${url}/v1/admin/users/${grace.user.id}:export`
  const [first] = await linesOf(t, at, root.accessToken)
  t.match(first, { user: { id: grace.user.id } })
  t.match(await request('GET', at, { token: grace.accessToken }), { status: 403 })
})

t.test('the export of a user and that by an administrator have the sessions of the user, ended ones too', async t => {
  const grace = await signUp(url)
  const phone = await signIn(url, grace.user.email)
  await request('POST', `${url}/v1/auth/logout`, { token: phone.accessToken })
  const root = await signIn(url, administrator.email, administrator.password)
  const { body } = await request('GET', `${url}/v1/auth/sessions`, { token: grace.accessToken })
  const [active] = (body as { sessions: { id: string }[] }).sessions
  const { current: _, ...shown } = active as typeof active & { current: boolean }
  const expected = [
    { user: { id: grace.user.id } },
    { session: shown },
    { session: { endReason: 'logout', endedAt: String } },
  ]
  const own = await linesOf(t, `${url}/v1/users/me/export`, grace.accessToken)
  t.match(own, expected)
  t.equal(own.length, 3)
  t.strictSame(await linesOf(t, `${url}/v1/admin/users/${grace.user.id}:export`, root.accessToken), own)
})

t.test('without auth-svc an export is 503 and not one without sessions', async t => {
  await system.authSvc.stop()
  t.match(await request('GET', `${url}/v1/users/me/export`, { token: ada.accessToken }), {
    status: 503,
    body: { code: 'unavailable', detail: 'The sessions of the user are unavailable' },
  })
})
