import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
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
  const response = await fetch(`${url}/v1/users/me/export`, { headers: { authorization: `Bearer ${ada.accessToken}` } })
  t.match(response.headers.get('content-type'), /^application\/x-ndjson/)
  const lines = (await response.text())
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.equal(lines.length, COUNT + 1)
  t.match(lines[0], { user: { id: ada.user.id } })
  // Creation order.
  t.same(
    lines.slice(1).map(({ document }) => document.title),
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
    t.equal(text.trimEnd().split('\n').length, COUNT + 1)
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
  t.match(await request('GET', at, { token: root.accessToken }), { status: 200, body: { user: { id: grace.user.id } } })
  t.match(await request('GET', at, { token: grace.accessToken }), { status: 403 })
})
