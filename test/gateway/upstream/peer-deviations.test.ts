/**
 * Responses of peers that deviate from RFC 9113 or from gRPC over HTTP/2 where the gateway does not depend on it. Each is
 * accepted, and the transport `http2` reports the same status as grpc-js.
 */
import t, { type Test } from 'tap'
import { StatusError } from '#runtime/status.ts'
import { echo, TRANSPORTS } from '../../support/grpc-peers/peer-calls.ts'
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADERS,
  headerBlock,
  message,
  type RawConnection,
  RESPONSE_HEADERS,
  SETTINGS,
  SIZE_UPDATE,
  settings,
  startRawPeer,
  TRAILERS,
} from '../../support/grpc-peers/raw-peer.ts'

type Field = [name: string, value: string]
type TransportName = keyof typeof TRANSPORTS
type Outcome = { response: string } | { code: number; message: string }

interface Call {
  id: number
  connection: RawConnection
  /** The size update that a peer of the transport `http2` should send. */
  sizeUpdate: Buffer
}

/** Calls Echo of a peer that responds with `respond`. */
async function outcomeOf(t: Test, name: TransportName, respond: (call: Call) => void): Promise<Outcome> {
  const peer = await startRawPeer()
  const transport = TRANSPORTS[name]({ address: peer.address, maxMessageLength: 10_000 })
  t.teardown(async () => {
    peer.stop()
    await transport.close()
  })
  const outcome = echo(transport).then(
    (bytes): Outcome => ({ response: bytes.toString() }),
    (error: unknown): Outcome => {
      if (error instanceof StatusError) return { code: error.code, message: error.message }
      throw error
    },
  )
  const connection = await peer.accept()
  await connection.handshake()
  const id = await connection.request()
  // grpc-js announces no table size of 0, so a size update would be wrong.
  respond({ id, connection, sizeUpdate: name === 'http2' ? SIZE_UPDATE : Buffer.alloc(0) })
  return outcome
}

const succeed =
  (headers: Field[], trailers: Field[]) =>
  ({ id, connection, sizeUpdate }: Call) =>
    connection.send(
      frame(HEADERS, END_HEADERS, id, Buffer.concat([sizeUpdate, RESPONSE_HEADERS, headerBlock(...headers)])),
      frame(DATA, 0, id, message('ok')),
      frame(HEADERS, END_HEADERS | END_STREAM, id, Buffer.concat([TRAILERS, headerBlock(...trailers)])),
    )
const failWith =
  (...fields: Field[]) =>
  ({ id, connection, sizeUpdate }: Call) =>
    connection.send(
      frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        id,
        Buffer.concat([sizeUpdate, RESPONSE_HEADERS, headerBlock(['grpc-status', '5'], ...fields)]),
      ),
    )

/** Fields that the gateway does not read. Each is sent as a header, as a trailer and with a status of 5. */
const IGNORED: Field[] = [
  ['x', 'a '],
  ['x', ' a'],
  ['x', '\ta'],
  ['x', 'a\t'],
  ['x', 'a\0b'],
  ['x', 'a\r\nb'],
  ['x', '\x01\x7f'],
  ['', 'x'],
  ['a b', 'x'],
  ['te', 'trailers'],
  ['host', 'a'],
  ['set-cookie', 'a=1 '],
  ['grpc-encoding', 'identity '],
]

for (const name of Object.keys(TRANSPORTS) as TransportName[]) {
  t.test(`a malformed field that is not read is ignored (${name})`, async t => {
    for (const field of IGNORED) {
      const title = JSON.stringify(field)
      t.strictSame(await outcomeOf(t, name, succeed([field], [])), { response: 'ok' }, `${title} as a header`)
      t.strictSame(await outcomeOf(t, name, succeed([], [field])), { response: 'ok' }, `${title} as a trailer`)
      const failure = await outcomeOf(t, name, failWith(['grpc-message', 'no book'], field))
      t.strictSame(failure, { code: 5, message: 'no book' }, `${title} with a status`)
    }
  })

  t.test(`a repeated content type or message, and invalid details, keep the status (${name})`, async t => {
    const cases: [fields: Field[], message: string][] = [
      [[['content-type', 'application/grpc']], ''],
      [
        [
          ['grpc-message', 'a'],
          ['grpc-message', 'b'],
        ],
        'a, b',
      ],
      [
        [
          ['grpc-status-details-bin', 'CAUSAW0='],
          ['grpc-status-details-bin', 'CAUSAW0='],
        ],
        '',
      ],
      [[['grpc-status-details-bin', ' CAUSAW0= ']], ''],
      [[['grpc-message', 'a\0b']], ''],
    ]
    for (const [fields, text] of cases) {
      const outcome = await outcomeOf(t, name, failWith(...fields))
      t.strictSame(outcome, { code: 5, message: text }, JSON.stringify(fields))
    }
  })

  t.test(`a content type with surrounding white space is read (${name})`, async t => {
    for (const contentType of ['application/grpc ', ' application/grpc', 'application/grpc\t']) {
      const outcome = await outcomeOf(t, name, ({ id, connection, sizeUpdate }) =>
        connection.send(
          frame(
            HEADERS,
            END_HEADERS,
            id,
            Buffer.concat([sizeUpdate, headerBlock([':status', '200'], ['content-type', contentType])]),
          ),
          frame(DATA, 0, id, message('ok')),
          frame(HEADERS, END_HEADERS | END_STREAM, id, TRAILERS),
        ),
      )
      t.strictSame(outcome, { response: 'ok' })
    }
  })

  t.test(`the code of a status whose message ends with white space is kept (${name})`, async t => {
    for (const text of ['there is no such book: ', ' book', 'book\t']) {
      const outcome = await outcomeOf(t, name, failWith(['grpc-message', text]))
      // nghttp2 drops the field, so grpc-js has no message.
      t.strictSame(outcome, { code: 5, message: name === 'http2' ? text : '' })
    }
  })
}

t.test('status and length with surrounding white space are read', async t => {
  for (const field of [
    ['grpc-status', '5 '],
    ['grpc-status', ' 5'],
  ] as Field[]) {
    const outcome = await outcomeOf(t, 'http2', ({ id, connection, sizeUpdate }) =>
      connection.send(
        frame(
          HEADERS,
          END_HEADERS | END_STREAM,
          id,
          Buffer.concat([sizeUpdate, RESPONSE_HEADERS, headerBlock(field, ['grpc-message', 'no book'])]),
        ),
      ),
    )
    t.strictSame(outcome, { code: 5, message: 'no book' })
  }
  t.strictSame(await outcomeOf(t, 'http2', succeed([['content-length', ' 7 ']], [])), { response: 'ok' })
})

t.test('a peer that sends literals only needs no size update of the HPACK table', async t => {
  const outcome = await outcomeOf(t, 'http2', ({ id, connection }) =>
    succeed([], [])({ id, connection, sizeUpdate: Buffer.alloc(0) }),
  )
  t.strictSame(outcome, { response: 'ok' })
})

/** A literal with incremental indexing: the peer adds the field to its dynamic table. */
const inserted = (...field: Field) => Buffer.concat([Buffer.from([0x40]), headerBlock(field).subarray(1)])
/** A field of the dynamic table. @param age 0 for the field inserted last. */
const fromTable = (age: number) => Buffer.from([0x80 | (62 + age)])

for (const name of Object.keys(TRANSPORTS) as TransportName[]) {
  t.test(
    `a peer may use the initial HPACK table of 4,096 octets, although a size of 0 is announced (${name})`,
    async t => {
      const peer = await startRawPeer()
      const transport = TRANSPORTS[name]({ address: peer.address, maxMessageLength: 10_000 })
      t.teardown(async () => {
        peer.stop()
        await transport.close()
      })
      const call = () =>
        echo(transport).then(
          bytes => bytes.toString(),
          error => `${error.code} ${error.message}`,
        )
      const trailersOnly = (id: number, ...fields: Uint8Array[]) =>
        frame(HEADERS, END_HEADERS | END_STREAM, id, Buffer.concat(fields))

      const first = call()
      const connection = await peer.accept()
      // Without an acknowledgment of the client's SETTINGS.
      connection.send(settings({}))
      const firstId = await connection.request()
      connection.send(
        frame(
          HEADERS,
          END_HEADERS,
          firstId,
          Buffer.concat([inserted(':status', '200'), inserted('content-type', 'application/grpc')]),
        ),
        frame(DATA, 0, firstId, message('ok')),
        trailersOnly(firstId, inserted('grpc-status', '0')),
      )
      t.equal(await first, 'ok')

      // From the oldest: :status, content-type, grpc-status.
      const fieldsOfFirst = [fromTable(2), fromTable(1), fromTable(0)]
      connection.send(frame(SETTINGS, ACK, 0))
      const second = call()
      const secondId = await connection.request()
      connection.send(
        frame(HEADERS, END_HEADERS, secondId, Buffer.concat(fieldsOfFirst.slice(0, 2))),
        frame(DATA, 0, secondId, message('ok again')),
        trailersOnly(secondId, fromTable(0)),
      )
      t.equal(await second, 'ok again')

      // The same bytes mean another message each time. Each insertion makes the fields of the first response older.
      const outcomes: string[] = []
      for (const [count, text] of ['first', 'second', 'first'].entries()) {
        for (const field of [inserted('grpc-message', text), fromTable(0)]) {
          const age = count + (field.length === 1 ? 1 : 0)
          const failing = call()
          const id = await connection.request()
          connection.send(
            trailersOnly(id, fromTable(age + 2), fromTable(age + 1), headerBlock(['grpc-status', '5']), field),
          )
          outcomes.push(await failing)
        }
      }
      t.strictSame(outcomes, ['5 first', '5 first', '5 second', '5 second', '5 first', '5 first'])

      // A size update to 0 at last, and a literal with incremental indexing, which stores nothing.
      const last = call()
      const lastId = await connection.request()
      connection.send(
        trailersOnly(
          lastId,
          SIZE_UPDATE,
          RESPONSE_HEADERS,
          headerBlock(['grpc-status', '5']),
          inserted('grpc-message', 'last'),
        ),
      )
      t.equal(await last, '5 last')
    },
  )
}
