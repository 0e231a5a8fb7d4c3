import http2 from 'node:http2'
import net from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { decodeHeaderBlock } from '../../../../../gateway/upstream/http2/hpack/decoder.ts'
import { DynamicTable } from '../../../../../gateway/upstream/http2/hpack/dynamic-table.ts'
import { indexed, literal, writeInteger } from '../../../../../gateway/upstream/http2/hpack/encoder.ts'
import { decodeHuffman, HUFFMAN_CODES } from '../../../../../gateway/upstream/http2/hpack/huffman.ts'
import { createRequestHeaderEncoder } from '../../../../../gateway/upstream/http2/request-headers.ts'
import { frame, HEADERS, SETTINGS, settings } from '../../../../support/grpc-peers/raw-peer.ts'

const LIMIT = 64 * 1024

function decode(hex: string, table = new DynamicTable()) {
  const block = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  return decodeBlock(block, LIMIT, table).fields
}

function decodeBlock(block: Buffer, maxListSize: number, table = new DynamicTable()) {
  return decodeHeaderBlock(block, 0, block.length, maxListSize, table)
}

t.test('the examples of RFC 7541 appendix C without a dynamic table are decoded', async t => {
  for (const [section, hex, fields] of [
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', [['custom-key', 'custom-header']]],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', [[':path', '/sample/path']]],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', [['password', 'secret']]],
    ['C.2.4', '82', [[':method', 'GET']]],
    [
      'C.3.1',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'www.example.com'],
      ],
    ],
    [
      'C.4.1',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'www.example.com'],
      ],
    ],
    [
      'C.6.1',
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      [
        [':status', '302'],
        ['cache-control', 'private'],
        ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
        ['location', 'https://www.example.com'],
      ],
    ],
  ] as const) {
    t.same(decode(hex), fields, section)
  }
})

const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const redirect = (status: string, date: string, ...more: [string, string][]) => [
  [':status', status],
  ['cache-control', 'private'],
  ['date', date],
  ['location', 'https://www.example.com'],
  ...more,
]

t.test('the responses of RFC 7541 appendix C, which share a dynamic table of 256 octets, are decoded', async t => {
  const responses = [
    redirect('302', 'Mon, 21 Oct 2013 20:13:21 GMT'),
    redirect('307', 'Mon, 21 Oct 2013 20:13:21 GMT'),
    redirect('200', 'Mon, 21 Oct 2013 20:13:22 GMT', ['content-encoding', 'gzip'], ['set-cookie', cookie]),
  ]
  const sections = {
    'C.5': [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    'C.6': [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  }
  for (const [section, blocks] of Object.entries(sections)) {
    const table = new DynamicTable()
    table.resize(256)
    for (const [index, block] of blocks.entries())
      t.same(decode(block, table), responses[index], `${section}.${index + 1}`)
    // The table of C.5.3 has 215 octets: all others are evicted.
    t.same(table.at(2), ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'])
    t.equal(table.at(3), undefined)
  }
})

t.test('a field larger than the dynamic table empties it, and a table of size 0 stores nothing', async t => {
  const table = new DynamicTable()
  table.insert(['a', 'b'])
  table.insert(['a', 'x'.repeat(4096 - 32)])
  t.equal(table.at(0), undefined)
  table.insert(['a', 'x'.repeat(4096 - 33)])
  t.same(table.at(0)?.[1].length, 4063, 'a field as large as the table is stored')
  table.resize(0)
  table.insert(['', ''])
  t.equal(table.at(0), undefined)
  t.throws(() => table.resize(4097), /Dynamic table size update to 4097/)
})

t.test('the rest of a header list that is too large is decoded for the dynamic table', async t => {
  const table = new DynamicTable()
  const block = Buffer.concat([indexed(8), Buffer.from([0x40]), literal('a', 'b').subarray(1)])
  t.same(decodeBlock(block, 50, table), {
    fields: [[':status', '200']],
    tooLarge: true,
    dependsOnTable: false,
    inserts: true,
  })
  t.same(table.at(0), ['a', 'b'])
})

t.test('the integers of RFC 7541 section C.1 are encoded', async t => {
  for (const [value, prefix, hex] of [
    [10, 5, '0a'],
    [1337, 5, '1f9a0a'],
    [42, 8, '2a'],
  ] as const) {
    const bytes = Buffer.alloc(8)
    t.equal(bytes.subarray(0, writeInteger(bytes, 0, prefix, 0, value)).toString('hex'), hex)
  }
})

t.test('the Huffman code of RFC 7541 appendix B is complete', async t => {
  t.equal(HUFFMAN_CODES.length, 257)
  t.equal(
    HUFFMAN_CODES.reduce((sum, { length }) => sum + 2 ** -length, 0),
    1,
  )
  for (const [symbol, code, length] of [
    [0, 0x1ff8, 13],
    [48, 0x0, 5],
    [97, 0x3, 5],
    [122, 0x7b, 7],
    [127, 0xffffffc, 28],
    [255, 0x3ffffee, 26],
    [256, 0x3fffffff, 30],
  ] as const) {
    t.same(HUFFMAN_CODES[symbol], { symbol, code, length })
  }
})

t.test('Huffman decoding restores the encoded octets', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300, size: 'max' }), octets => {
      const encoded = encodeHuffman(octets)
      return decodeHuffman(encoded, 0, encoded.length) === Buffer.from(octets).toString('latin1')
    }),
  )
})

t.test('Huffman code other than the canonical encoding of its octets is rejected', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40, size: 'max' }), bytes => {
      let text: string
      try {
        text = decodeHuffman(bytes, 0, bytes.length)
      } catch {
        return true
      }
      return encodeHuffman(Buffer.from(text, 'latin1')).equals(bytes)
    }),
    { numRuns: 5000 },
  )
})

t.test('decoding restores encoded fields', async () => {
  const text = fc.string({ unit: 'binary-ascii', maxLength: 400, size: 'max' })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text, fc.boolean())), fields => {
      const block = Buffer.concat(fields.map(([name, value, never]) => literal(name, value, never)))
      const decoded = decodeBlock(block, Infinity).fields
      return JSON.stringify(decoded) === JSON.stringify(fields.map(([name, value]) => [name, value]))
    }),
  )
})

t.test('the decoder returns a bounded list or COMPRESSION_ERROR for any bytes', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300, size: 'max' }), bytes => {
      const block = Buffer.from(bytes)
      try {
        const { fields } = decodeBlock(block, 1000)
        return fields.reduce((size, [name, value]) => size + name.length + value.length + 32, 0) <= 1000
      } catch (error) {
        return (error as { http2Code?: number }).http2Code === 9
      }
    }),
    { numRuns: 5000 },
  )
})

t.test('decoding stops when the list exceeds its maximum size', async t => {
  const block = Buffer.concat(Array(100).fill(indexed(8)))
  const { fields, tooLarge } = decodeBlock(block, 10 * (7 + 3 + 32))
  t.equal(fields.length, 10)
  t.equal(tooLarge, true)
})

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).map(name => `x-${name}`)
// Values of `-bin` keys must be base64.
const textName = token.filter(name => !name.endsWith('-bin'))
const visible = fc.stringMatching(/^[!-~]([ -~]{0,200}[!-~])?$/)

t.test('node:http2 decodes the encoded requests, and its responses are decoded', async t => {
  const server = http2.createServer({ settings: { maxHeaderListSize: LIMIT } })
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const { 'x-response': response, ...rest } = headers
    stream.respond({ ':status': 200, ...JSON.parse(Buffer.from(String(response), 'base64').toString()) })
    stream.end(JSON.stringify(rest))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const encoder = createRequestHeaderEncoder({ authority: 'users:1', secure: false, userAgent: 'test' })

  await fc.assert(
    fc.asyncProperty(fc.dictionary(textName, visible), fc.dictionary(token, visible), async (sent, responded) => {
      const metadata = { ...sent, 'x-response': Buffer.from(JSON.stringify(responded)).toString('base64') }
      const { block, body } = await exchange(port, encoder.encode('/a.B/C', metadata, 1500))
      const received = JSON.parse(body)
      for (const [name, value] of Object.entries({
        ...sent,
        ':path': '/a.B/C',
        ':authority': 'users:1',
        te: 'trailers',
        'grpc-timeout': '1500m',
      })) {
        if (received[name] !== value) throw new Error(`${name}: ${received[name]}`)
      }
      const fields = new Map(decodeBlock(block, LIMIT).fields)
      for (const [name, value] of Object.entries(responded)) {
        if (fields.get(name) !== value) throw new Error(`${name}: ${fields.get(name)}`)
      }
    }),
    { numRuns: 200 },
  )
})

/** Sends one request on a new connection. */
async function exchange(
  port: number,
  headers: { bytes: Buffer; length: number },
): Promise<{ block: Buffer; body: string }> {
  const socket = net.connect(port, '127.0.0.1')
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  socket.write(settings({ 1: 0 }))
  socket.write(frame(HEADERS, 5, 1, headers.bytes.subarray(0, headers.length)))
  let bytes = Buffer.alloc(0)
  let block = Buffer.alloc(0)
  let body = ''
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      const length = bytes.readUIntBE(0, 3)
      const [type, flags] = [bytes[3], bytes[4] as number]
      const payload = bytes.subarray(9, 9 + length)
      bytes = bytes.subarray(9 + length)
      if (type === SETTINGS && flags === 0) socket.write(frame(SETTINGS, 1, 0))
      if (type === HEADERS) block = Buffer.from(payload)
      if (type === 0) body += payload.toString()
      // Returning closes the connection.
      if (type === 0 && (flags & 1) !== 0) return { block, body }
    }
  }
  throw new Error('The server closed the connection')
}

function encodeHuffman(octets: Uint8Array): Buffer {
  let bits = ''
  for (const octet of octets) {
    const { code, length } = HUFFMAN_CODES[octet] as { code: number; length: number }
    bits += code.toString(2).padStart(length, '0')
  }
  bits += '1'.repeat((8 - (bits.length % 8)) % 8)
  return Buffer.from(bits.match(/.{8}/g)?.map(byte => Number.parseInt(byte, 2)) ?? [])
}
