/** The content of a foreign service in a browser: it runs no script in the origin of the API. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { create } from '@bufbuild/protobuf'
import t from 'tap'
import { launchBrowser } from '../../support/browser.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'

const service = buildService('page.v1.PageService', {
  imports: ['google/api/httpbody.proto'],
  methods: [
    methodSource('Get', '(GetRequest) returns (google.api.HttpBody)', 'get: "/v1/pages/{name}"'),
    methodSource('Follow', '(GetRequest) returns (stream google.api.HttpBody)', 'get: "/v1/streams/{name}"'),
  ],
  messages: 'message GetRequest { string name = 1; }',
})

const SCRIPT = "document.documentElement.setAttribute('data-ran', 'yes')"

/** Content with an inline script, and one that loads a script from the same origin. */
const PAGES: Record<string, { type: string; text: string }> = {
  'inline.html': { type: 'text/html', text: `<!doctype html><html><body><script>${SCRIPT}</script></body></html>` },
  'event.html': {
    type: 'text/html',
    text: `<!doctype html><html><body><img src="x:" onerror="${SCRIPT}"></body></html>`,
  },
  'external.html': {
    type: 'text/html; charset=utf-8',
    text: '<!doctype html><html><body><script src="script.js"></script></body></html>',
  },
  'image.svg': {
    type: 'image/svg+xml',
    text: `<svg xmlns="http://www.w3.org/2000/svg"><script>${SCRIPT}</script></svg>`,
  },
  'page.xhtml': {
    type: 'application/xhtml+xml',
    text: `<html xmlns="http://www.w3.org/1999/xhtml"><body><script>${SCRIPT}</script></body></html>`,
  },
  'script.js': { type: 'text/javascript', text: SCRIPT },
}
const DOCUMENTS = Object.keys(PAGES).filter(name => name !== 'script.js')

const browser = await launchBrowser(t)

t.test('HTML, SVG and XML of an upstream run no script', { skip: browser ? false : 'no Chromium' }, async t => {
  const HttpBody = service.contract.getMessage('google.api.HttpBody')
  if (browser === undefined || HttpBody === undefined) throw new Error('unreachable')
  const bodyOf = (name: string) => {
    const { type = '', text = '' } = PAGES[name] ?? {}
    return create(HttpBody, { contentType: type, data: Buffer.from(text) } as Record<string, unknown>)
  }
  const gateway = await service.start(t, ({ method, message }) => {
    const body = bodyOf((message as unknown as { name: string }).name)
    return method === 'Get'
      ? body
      : (async function* () {
          yield body
        })()
  })
  // Without the headers of the gateway, the scripts run: the check can fail.
  const plain = createServer((request, response) => {
    const { type = '', text = '' } = PAGES[(request.url ?? '').slice('/v1/pages/'.length)] ?? {}
    response.setHeader('content-type', type).end(text)
  }).listen(0, '127.0.0.1')
  await once(plain, 'listening')
  t.teardown(() => plain.close())

  const page = await browser.newPage()
  t.teardown(() => page.close())
  const runsScript = async (url: string) => {
    await page.goto(url, { waitUntil: 'load' })
    return (await page.locator(':root').getAttribute('data-ran')) === 'yes'
  }
  for (const name of DOCUMENTS) {
    t.equal(await runsScript(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/v1/pages/${name}`), true, name)
    for (const kind of ['pages', 'streams'])
      t.equal(await runsScript(`http://127.0.0.1:${gateway.port}/v1/${kind}/${name}`), false, `${kind}/${name}`)
  }
})

t.test(
  'content whose type the upstream does not name is not sniffed as HTML',
  { skip: browser ? false : 'no Chromium' },
  async t => {
    const HttpBody = service.contract.getMessage('google.api.HttpBody')
    if (browser === undefined || HttpBody === undefined) throw new Error('unreachable')
    for (const contentType of ['', 'text/plain', 'html']) {
      const data = Buffer.from(PAGES['inline.html']?.text ?? '')
      const gateway = await service.start(t, () => create(HttpBody, { contentType, data } as Record<string, unknown>))
      const page = await browser.newPage()
      t.teardown(() => page.close())
      const url = `http://127.0.0.1:${gateway.port}/v1/pages/a`
      const outcome = await Promise.race([
        page.waitForEvent('download').then(() => 'download'),
        page.goto(url).then(
          () => page.evaluate('document.contentType'),
          () => 'download',
        ),
      ])
      t.equal(outcome, contentType === 'text/plain' ? 'text/plain' : 'download', `"${contentType}"`)
    }
  },
)
