/** The API reference of a running system, used in a browser as a client developer uses it. */
import type { Browser, BrowserContextOptions, Page, Response } from 'playwright-core'
import t, { type Test } from 'tap'
import { launchBrowser } from '../support/browser.ts'
import { startSystem } from '../support/test-system.ts'

t.setTimeout(300_000)

const SIZES: Record<string, BrowserContextOptions> = {
  desktop: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
}

/** A busy machine needs seconds to compile the page's 5 MB of JavaScript. */
const PATIENCE_MS = 60_000

const browser = await launchBrowser(t)
if (browser === undefined) {
  t.pass('skipped: no browser found; set CHROMIUM_PATH or install chromium', { skip: true })
  process.exit()
}
const { url, administrator } = await startSystem(t)

/** Opens the reference, and collects what the browser reports as an error. */
async function openReference(
  t: Test,
  browser: Browser,
  size: BrowserContextOptions,
): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext(size)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const errors: string[] = []
  page.on('console', message => {
    if (message.type() === 'error' || /content security policy/i.test(message.text())) errors.push(message.text())
  })
  page.on('pageerror', error => errors.push(error.message))
  page.on('requestfailed', request => errors.push(`${request.url()}: ${request.failure()?.errorText}`))
  await showOperation(page, 'authservice', 'POST/v1/auth/login')
  return { page, errors }
}

/** Loads the page at an operation. @param operation method and path, as in the address of the page. */
async function showOperation(page: Page, tag: string, operation: string): Promise<void> {
  // Another fragment alone would not load the page again.
  await page.goto('about:blank')
  await page.goto(`${url}/docs/#tag/${tag}/${operation}`)
  const [method = '', ...path] = operation.split('/')
  const label = `(${method.toLowerCase()} /${path.join('/')})`
  await page.getByRole('button', { name: 'Test Request' }).filter({ hasText: label }).click()
  await page.getByRole('dialog').getByRole('button', { name: /^Send/ }).first().waitFor()
}

/** Sends the request of the open client. @returns the response of the gateway. */
async function send(page: Page, path: string): Promise<Response> {
  const response = page.waitForResponse(response => response.url() === `${url}${path}`)
  await page.getByRole('dialog').getByRole('button', { name: /^Send/ }).first().click()
  return response
}

for (const [name, size] of Object.entries(SIZES)) {
  t.test(
    `in the API reference on a ${name}, a user signs in, calls an operation, reloads and calls again, without an error`,
    async t => {
      const { page, errors } = await openReference(t, browser, size)
      const dialog = page.getByRole('dialog')

      const body = dialog.locator('.cm-content').first()
      await body.click()
      await page.keyboard.press('ControlOrMeta+A')
      await page.keyboard.insertText(JSON.stringify(administrator))
      const signedIn = await send(page, '/v1/auth/login')
      t.equal(signedIn.status(), 200)
      const { accessToken } = await signedIn.json()

      await showOperation(page, 'userservice', 'GET/v1/users/me')
      await dialog.getByPlaceholder('Token').click()
      await page.keyboard.insertText(accessToken)
      const called = await send(page, '/v1/users/me')
      t.match(await called.json(), { email: administrator.email })
      // The page saves the token half a second after the last change.
      await page.waitForFunction(text => Object.values(localStorage).some(value => value.includes(text)), accessToken)

      await showOperation(page, 'userservice', 'GET/v1/users/me')
      const again = await send(page, '/v1/users/me')
      t.match(await again.json(), { email: administrator.email }, 'the token survives a reload')
      t.same(errors, [])
    },
  )

  t.test(`the search of the API reference on a ${name} finds operations by summary and by error code`, async t => {
    const { page, errors } = await openReference(t, browser, size)
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).first().click()
    if (name === 'phone') await page.getByRole('button', { name: /menu/i }).first().click()
    await page
      .getByRole('button', { name: /Search/ })
      .filter({ visible: true })
      .first()
      .click()
    const query = page.getByRole('combobox', { name: 'Enter search query' })
    for (const [text, operation] of [
      ['sign in', 'Sign in with e-mail and password'],
      ['token_revoked', "Get the caller's own profile"],
      ['email_taken', 'Sign up with e-mail and password'],
    ] as const) {
      await query.fill(text)
      await page.getByRole('option').filter({ hasText: operation }).first().waitFor()
      t.pass(`${text}: ${operation}`)
    }
    t.same(errors, [])
  })
}
