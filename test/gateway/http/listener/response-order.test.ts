import { once } from 'node:events'
import t from 'tap'
import { exchange, openWire, readResponses } from '../../../support/http-wire.ts'
import { get, note, post, startNotes } from './notes-gateway.ts'

const BROKEN = 'no request\r\n\r\n'

t.test('the 400 of a malformed request follows the response to the request before it', async t => {
  const { port, upstream } = await startNotes(t, ({ message }) => message)
  const responses = await exchange(port, post('/v1/notes', { name: 'a' }) + BROKEN)
  t.equal(upstream.received.length, 1)
  t.same(
    responses.map(({ status }) => status),
    [201, 400],
  )
  t.match(JSON.parse(responses[1]?.body ?? ''), { code: 'bad_request', status: 400 })
  t.match(responses[1]?.headers, { connection: 'close' })
})

t.test('the 400 of a malformed request follows the last chunk of the stream before it', async t => {
  const { port } = await startNotes(t, async function* () {
    for (let number = 0; number < 2000; number++) yield note(String(number), 'x'.repeat(100))
  })
  const [stream, error, ...others] = await exchange(port, get('/v1/feed/a') + BROKEN)
  t.equal(stream?.body.trimEnd().split('\n').length, 2000)
  t.equal(error?.status, 400)
  t.same(others, [])
})

t.test('the 400 of a malformed request follows all pipelined responses before it, in order', async t => {
  const { port } = await startNotes(t, async ({ message }) => message)
  const names = ['a', 'b', 'c', 'd']
  const responses = await exchange(port, names.map(name => get(`/v1/notes/${name}`)).join('') + BROKEN)
  t.same(
    responses.slice(0, -1).map(({ body }) => JSON.parse(body).name),
    names,
  )
  t.equal(responses.at(-1)?.status, 400)
})

t.test(
  'the 501 of CONNECT follows the response to the request before it; nothing after its head is a request',
  async t => {
    const { port, upstream } = await startNotes(t, async function* () {
      yield note('first')
      yield note('second')
    })
    const connect = 'CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n'
    const responses = await exchange(port, get('/v1/feed/a') + connect + get('/v1/feed/b'))
    t.same(
      responses.map(({ status }) => status),
      [200, 501],
    )
    t.equal(responses[0]?.body.trimEnd().split('\n').length, 2)
    t.match(responses[1]?.headers, { connection: 'close' })
    t.equal(upstream.received.length, 1)
  },
)

t.test('headers that are too large, after a request, get 431 after its response', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const large = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`
  const responses = await exchange(port, get('/v1/notes/a') + large)
  t.same(
    responses.map(({ status }) => status),
    [200, 431],
  )
})

t.test('a request whose own body is malformed gets one 400', async t => {
  const { port, upstream } = await startNotes(t, ({ message }) => message)
  const head =
    'POST /v1/notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
  const responses = await exchange(port, `${head}zz\r\n`)
  t.same(
    responses.map(({ status }) => status),
    [400],
  )
  t.equal(upstream.received.length, 0)
})

t.test('a malformed rest of a body, after the response to its request, gets no second response', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const head =
    'PUT /v1/mine HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
  const responses = await exchange(port, `${head}zz\r\n`)
  t.equal(responses.length, 1)
})

t.test('a malformed request, after a request whose body arrived after its response, gets 400', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const socket = openWire(port)
  socket.write('PUT /v1/mine HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n')
  const [first] = await once(socket, 'data')
  t.match(String(first), /^HTTP\/1\.1 401 /)
  socket.write(`{}${BROKEN}`)
  t.same(
    (await readResponses(socket)).map(({ status }) => status),
    [400],
  )
})
