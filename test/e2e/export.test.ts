import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { request, signIn, signUp } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

/** Each statement is a slow one here, and so in the log. */
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

/** Statements that have read documents for an export, in this system's life. */
const read = () =>
  system.userSvc.entries.filter(
    ({ msg, statement }) => msg === 'slow statement' && /from "documents_all".*limit/.test(String(statement)),
  ).length

const open = async () => {
  const headers = { authorization: `Bearer ${ada.accessToken}` }
  const sent = http.get(`${url}/v1/users/me/export`, { headers, agent: false })
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
  return { sent, response }
}

/** How many it is when no more has come for a while. */
async function settled(): Promise<number> {
  let before = -1
  await until(
    async () => {
      await delay(500)
      const isStill = read() === before && before > 0
      before = read()
      return isStill
    },
    isStill => isStill,
  )
  return before
}

const whole = COUNT / 50

t.test('an export arrives whole and in order, a line for each thing', async t => {
  const response = await fetch(`${url}/v1/users/me/export`, { headers: { authorization: `Bearer ${ada.accessToken}` } })
  t.match(response.headers.get('content-type'), /^application\/x-ndjson/)
  const lines = (await response.text())
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.equal(lines.length, COUNT + 1)
  t.match(lines[0], { user: { id: ada.user.id } })
  // They were written one after the other.
  t.same(
    lines.slice(1).map(({ document }) => document.title),
    Array.from({ length: COUNT }, (_, index) => `Plan ${index + 1}`),
  )
  t.equal(await settled(), whole)
})

t.test('a client that does not read stops the reading of the database, and gets the rest when it reads on', async t => {
  const before = read()
  const { response } = await open()
  response.pause()
  const stopped = (await settled()) - before
  t.ok(stopped > 0 && stopped < whole / 2, `${stopped} of ${whole} statements`)
  let text = ''
  for await (const chunk of response) text += chunk
  t.equal(text.trimEnd().split('\n').length, COUNT + 1)
  t.equal((await settled()) - before, whole)
})

t.test('a client that leaves stops the statements', async t => {
  const before = read()
  const { sent, response } = await open()
  await once(response, 'data')
  sent.destroy()
  const stopped = (await settled()) - before
  t.ok(stopped < whole, `${stopped} of ${whole} statements`)
})

t.test('administrators export anybody, others only themselves', async t => {
  const grace = await signUp(url)
  const root = await signIn(url, administrator.email, administrator.password)
  const at = `${url}/v1/admin/users/${grace.user.id}:export`
  t.match(await request('GET', at, { token: root.accessToken }), { status: 200, body: { user: { id: grace.user.id } } })
  t.match(await request('GET', at, { token: grace.accessToken }), { status: 403 })
})
