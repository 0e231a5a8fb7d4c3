import type { AddressInfo } from 'node:net'
import fastifyHelmet from '@fastify/helmet'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { readContract, serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../gateway/contract/openapi/document.ts'
import { buildRouteTable } from '../../../gateway/contract/route-table.ts'
import { registerDocs } from '../../../gateway/http/docs-page.ts'
import { launchBrowser } from '../../support/browser.ts'

async function serveDocs(t: Test): Promise<string> {
  const contract = readContract(new URL('../../../proto/gen/contract.binpb', import.meta.url))
  const routes = buildRouteTable([{ service: serviceOf(contract, 'auth.v1.AuthService'), upstream: 'auth' }])
  const document = buildOpenApi(routes, { title: 'Test', version: '1', publicUrl: 'https://api.example' })
  const app = Fastify()
  // The policy of the API, which only the page replaces.
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"] } },
  })
  registerDocs(app, { document })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

t.test('/openapi.json has an ETag, and a request with that ETag in If-None-Match returns 304', async t => {
  const url = `${await serveDocs(t)}/openapi.json`
  const first = await fetch(url)
  t.match(await first.json(), { openapi: '3.1.0' })
  const second = await fetch(url, { headers: { 'if-none-match': first.headers.get('etag') ?? '' } })
  t.equal(second.status, 304)
})

t.test('a page that could not be loaded is loaded by the next request', async t => {
  let failures = 1
  const app = Fastify()
  registerDocs(app, {
    document: {},
    async load() {
      if (failures-- > 0) throw new Error('cannot load')
      const page = Fastify()
      page.get('/docs/', (_, reply) => reply.type('text/html').send('<p>reference</p>'))
      return page
    },
  })
  t.equal((await app.inject('/docs/')).statusCode, 500)
  t.match(await app.inject('/docs/'), { statusCode: 200, payload: '<p>reference</p>' })
})

t.test(
  '/docs/ renders in a browser under its Content-Security-Policy and sends no request to another host',
  async t => {
    const browser = await launchBrowser(t)
    if (browser === undefined) {
      t.pass('skipped: no browser found; set CHROMIUM_PATH or install chromium', { skip: true })
      return
    }
    const origin = await serveDocs(t)
    const page = await browser.newPage()
    const otherHosts: string[] = []
    const errors: string[] = []
    page.on('request', request => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) otherHosts.push(request.url())
    })
    page.on('console', message => {
      if (/content security policy/i.test(message.text())) errors.push(message.text())
    })
    page.on('pageerror', error => errors.push(error.message))

    await page.goto(`${origin}/docs/`)
    await page.getByText('Sign up with e-mail and password').first().waitFor({ timeout: 60_000 })
    t.equal(await page.title(), 'Test')
    t.same(errors, [])
    t.same(otherHosts, [])
  },
)
